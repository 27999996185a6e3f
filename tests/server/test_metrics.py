"""Health and metrics on the admin listener, and what is counted."""

import logging
import re
from typing import get_args

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.server.conftest import key_id_of, nobodys_key
from tests.server.test_github_leaks import Github

from hourpass.core.actor import Actor
from hourpass.core.api_key import KeyRevokedWhy
from hourpass.core.errors import RefusalReason
from hourpass.core.grant import Ahead, Dead, Decision, Replay
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.endpoints.app import App
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.run.running import Running
from hourpass.server.settings.settings import Settings
from hourpass.server.telemetry.counts import CELL, Counts, outcome_of
from hourpass.server.telemetry.exposition import exposition
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.metrics import GRANTED, METRICS, REFUSED, ROUTES, Counter, Gauge
from hourpass.server.telemetry.refusals import ConnectionFault, Refusals
from hourpass.server.transport.request import Request
from hourpass.testing import Clock

WATCHED = {
    "hourpass_exchanges",
    "hourpass_credentials_refused",
    "hourpass_refreshes",
    "hourpass_revocations_in_force",
}


def admin(server):
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=AdminApp(server.app, "127.0.0.1:3601")), base_url="http://admin.test"
    )


async def samples(server):
    text = (await admin(server).get("/metrics")).text
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.anyio
async def test_metrics_are_prometheus_text(server):
    answer = await admin(server).get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert b"# TYPE hourpass_exchanges_total counter\n" in answer.content
    assert b"# TYPE hourpass_revocations_in_force gauge\n" in answer.content


@pytest.mark.anyio
async def test_the_parser_of_prometheus_reads_every_series(server):
    families = list(text_string_to_metric_families((await admin(server).get("/metrics")).text))

    assert all(family.documentation and family.type != "unknown" and family.samples for family in families)
    series = [(sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples]
    assert len(series) == len(set(series))
    for family in families:
        if family.type == "histogram":
            buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
            assert buckets[-1].labels["le"] == "+Inf"


@pytest.mark.anyio
async def test_every_counter_is_there_from_the_start(server):
    """A rate over a counter that appears with its first event misses that event."""
    counted = {name: value for name, value in (await samples(server)).items() if "_total" in name and "cpu" not in name}

    assert set(counted.values()) == {"0"}
    assert {name for name in counted if name.startswith("hourpass_refreshes")} == {
        f'hourpass_refreshes_total{{outcome="{outcome}"}}'
        for outcome in (
            *("rotate", "burst", "retry"),
            *("malformed", "expired", "replayed", "revoked", "key_disabled", "ahead", "unknown"),
            *("address_not_allowed", "access_token_given", "invalid_target"),
        )
    }
    assert len([name for name in counted if name.startswith("hourpass_requests_total")]) == 5 * len(ROUTES)


def test_every_count_is_exported_once():
    counts = Counts()
    names = [name for metric in METRICS if isinstance(metric, (Counter, Gauge)) for name in metric.counts]
    for number, name in enumerate(names, start=1_000):
        counts[name] = number

    lines = exposition([counts.cells], [counts.cells], {}).decode().splitlines()
    exported = [float(value) for line in lines if not line.startswith("#") and (value := line.rsplit(" ", 1)[1])]

    assert sorted(value for value in exported if value >= 1_000) == [float(n) for n in range(1_000, 1_000 + len(names))]


def test_what_is_not_in_the_table_cannot_be_counted():
    with pytest.raises(KeyError):
        Counts().add("made_up")


@pytest.mark.parametrize("kind", get_args(ConnectionFault))
def test_each_kind_of_refused_connection_can_be_counted(kind):
    counts = Counts()

    Refusals(counts, LimitedLog(logging.getLogger("test"), lambda: 0.0))(kind, None)

    assert sum(counts.cells) == counts[f"connections_refused_{kind}"] == 1


def test_a_decision_is_counted_as_granted_or_by_the_reason_of_its_refusal():
    refused = {Replay: "replayed", Ahead: "ahead"}

    assert {*GRANTED, *refused, Dead} == set(get_args(Decision))
    assert {*refused.values()} <= {*REFUSED} == {*get_args(RefusalReason)}
    assert {*GRANTED.values(), *REFUSED.values()} <= CELL.keys()


@pytest.mark.anyio
async def test_requests_are_counted_by_outcome(server, http):
    key = await server.create_key()
    token = (await http.post("/auth/api-key", json={"apiKey": key})).json()["refresh_token"]
    await http.post("/auth/api-key", json={"apiKey": nobodys_key()})
    for _ in range(2):
        await http.post("/auth/refresh", json={"refreshToken": token})
    server.clock.advance(61)
    await http.post("/auth/refresh", json={"refreshToken": token})
    for _ in range(2):
        late = await http.post("/auth/refresh", json={"refreshToken": token})
        assert late.json()["reason"] == "replayed"
    await http.post("/auth/refresh", json={"refreshToken": "x"})

    now = await samples(server)

    moved = {name for name, value in now.items() if value == "1" and name.split("_total")[0] in WATCHED}
    assert moved == {
        "hourpass_exchanges_total",
        "hourpass_credentials_refused_total",
        'hourpass_refreshes_total{outcome="rotate"}',
        'hourpass_refreshes_total{outcome="retry"}',
        'hourpass_refreshes_total{outcome="replayed"}',
        'hourpass_refreshes_total{outcome="malformed"}',
        "hourpass_revocations_in_force",
    }
    assert now['hourpass_refreshes_total{outcome="revoked"}'] == "2", "a replay counts once, and later tokens are late"


@pytest.mark.anyio
async def test_a_503_is_counted_once(server, http):
    await server.app.issuer.ledger.close()
    await http.post("/auth/api-key", json={"apiKey": nobodys_key()})

    assert (await samples(server))["hourpass_unavailable_total"] == "1"


@pytest.mark.anyio
async def test_no_label_holds_a_key_a_subject_or_a_token(server, http):
    """Labels are bounded: nothing that a caller can choose."""
    key = await server.create_key(subject="account-7", name="name-7")
    pair = await server.exchange(key)
    await http.post("/auth/refresh", json={"refreshToken": pair.refresh_token.decode()})

    text = (await admin(server).get("/metrics")).text

    for secret in (key, key.split("_")[2], "account-7", "name-7", pair.access_token.decode()):
        assert secret not in text


@pytest.mark.anyio
async def test_the_admin_listener_serves_health_and_nothing_of_the_public(server):
    http = admin(server)

    assert [(await http.get(path)).status_code for path in ("/health/live", "/health/ready")] == [200, 200]
    for path in ("/oauth/token", "/auth/verify", "/auth/rotate", "/.well-known/jwks.json", "/other"):
        assert (await http.post(path)).status_code == 404


@pytest.mark.anyio
async def test_metrics_are_not_public(http):
    assert (await http.get("/metrics")).status_code == 404


def test_a_gauge_is_written_by_its_name():
    counts = Counts()
    counts["in_force"] = 3

    assert b"hourpass_revocations_in_force 3\n" in exposition([counts.cells], [counts.cells], {})


@pytest.mark.anyio
async def test_accepted_credentials_are_counted_by_their_kind(server):
    """The provider watches the use of raw keys go to zero."""
    key = await server.create_key()
    token = (await server.exchange(key)).access_token.decode()
    client = server.client()
    for _ in range(2):
        await client.get("/auth/verify", headers={"authorization": f"Bearer {token}"})
    await client.get("/auth/verify", auth=(key, ""))
    await client.get("/auth/verify", auth=(nobodys_key(), ""))
    await client.get("/auth/verify", headers={"authorization": "Bearer x"})

    counted = await samples(server)
    assert counted['hourpass_credentials_accepted_total{kind="bearer"}'] == "2"
    assert counted['hourpass_credentials_accepted_total{kind="api_key"}'] == "1"


def requests(server) -> dict[tuple[str, str], float]:
    """How many requests were counted, by route and outcome."""
    line = r'^hourpass_requests_total{route="([^"]+)",outcome="(\w+)"} (\d+)$'
    found = re.findall(line, server.app.metrics().decode(), re.MULTILINE)
    return {(route, outcome): int(number) for route, outcome, number in found}


@pytest.fixture
async def leaks_server(start, tmp_path):
    """A server with every route."""
    return await start(github_leaks="notify", github_leak_keys=str(Github(tmp_path / "github.json").file))


@pytest.mark.anyio
async def test_each_request_adds_one_to_one_series_of_requests(leaks_server):
    app, key = leaks_server.app, await leaks_server.create_key()
    token = (await leaks_server.exchange(key)).access_token
    paths = [*ROUTES[:-1], "/", "/auth/verify/", "/made/up", "/metrics"]

    for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT"):
        for path in paths:
            for headers in ((), ((b"authorization", b"Bearer " + token),)):
                before = requests(leaks_server)
                request = Request(method, path, b"", headers, "127.0.0.1")
                at_once = app.answer_at_once(request) if method == "GET" else None  # as the front does
                reply = at_once or await app.answer(request)
                moved = {series: number - before[series] for series, number in requests(leaks_server).items()}
                one = (path if path in ROUTES else "other", outcome_of(reply.status))
                assert {series: number for series, number in moved.items() if number} == {one: 1}


@pytest.mark.anyio
async def test_the_routes_that_are_told_apart_are_all_routes(leaks_server):
    assert set(ROUTES) == {*leaks_server.app.routes, "/auth/verify", "/admin/v1", "other"}


@pytest.mark.anyio
async def test_how_long_an_answer_took_is_in_the_bucket_above_it(tmp_path):
    times = iter((10.0, 10.02))
    settings = Settings(data=str(tmp_path), database_url="sqlite::memory:", issuer="http://hourpass.test")
    app = App(settings, Running(settings, {}, Clock()), stopwatch=lambda: next(times))
    await app.start()
    await app.answer(Request("GET", "/health/live", b"", (), None))
    text = app.metrics().decode()
    await app.stop()

    told = dict(re.findall(r'duration_seconds_bucket{route="/health/live",le="([^"]+)"} (\d)', text))
    assert (told["0.01"], told["0.025"], told["+Inf"]) == ("0", "1", "1")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (204, "ok"),
        (304, "ok"),
        (401, "refused"),
        (429, "throttled"),
        (500, "failed"),
        (503, "unavailable"),
    ],
)
def test_a_status_is_one_outcome(status, outcome):
    assert outcome_of(status) == outcome


def counted(server, name: str) -> set[str]:
    """The values of the one label of a counter whose count is above 0."""
    return {
        label
        for label, value in re.findall(rf'^{name}{{\w+="(\w+)"}} (\d+)$', server.app.metrics().decode(), re.MULTILINE)
        if value != "0"
    }


@pytest.mark.anyio
@pytest.mark.parametrize("why", get_args(KeyRevokedWhy))
async def test_a_key_that_was_ended_and_is_still_sent_is_counted_by_why_it_was_ended(server, http, why):
    """The operator must see that a key which leaked is in use."""
    key = await server.create_key()
    how = (server.clock(), server.settings.policy(), Actor("test"), why)
    await server.app.issuer.ledger.run(lambda store: revoke_key(store, key_id_of(key), *how))
    await server.later(0)

    assert (await http.post("/auth/api-key", json={"apiKey": key})).status_code == 400

    assert counted(server, "hourpass_keys_refused_total") == {why}


@pytest.mark.anyio
async def test_other_genuine_keys_that_are_refused_are_counted_by_reason(server, http):
    expired = await server.create_key(expires_at=server.clock() + 1_000)
    elsewhere = await server.create_key(allowed_ips=("192.0.2.0/24",))
    server.clock.advance(2)

    for key in (expired, elsewhere):
        assert (await http.post("/auth/api-key", json={"apiKey": key})).status_code == 400

    assert counted(server, "hourpass_keys_refused_total") == {"expired", "address_not_allowed"}


@pytest.mark.anyio
async def test_what_forward_auth_refuses_is_counted_by_reason(server, http):
    token, _ = await server.tokens()
    bearer = {"authorization": f"Bearer {token}"}
    await http.get("/auth/verify")
    await http.get("/auth/verify", headers={"authorization": "Bearer x"})
    await http.get("/auth/verify?scope=made.up", headers=bearer)
    await http.get("/auth/verify", headers=[*bearer.items(), *bearer.items()])
    await server.later(4_000)
    await http.get("/auth/verify", headers=bearer)

    reasons = counted(server, "hourpass_forward_auth_refused_total")
    assert reasons == {"no_credential", "malformed", "insufficient_scope", "invalid_request", "expired"}


@pytest.mark.anyio
async def test_a_signing_key_without_a_successor_shows_when_it_ends(server):
    assert b"\nhourpass_signing_key_until_timestamp_seconds +Inf\n" in server.app.metrics()
    assert b'\nhourpass_signing_keys{state="signing"} 1\n' in server.app.metrics()

    end = server.clock() + 600_000
    await server.app.issuer.ledger.run(lambda store: store.retire_signing_key(store.signing_keys()[0].key.kid, end))
    await server.later(0)

    assert f"\nhourpass_signing_key_until_timestamp_seconds {end // 1000}\n".encode() in server.app.metrics()
