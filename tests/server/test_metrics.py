"""Health and metrics on the admin listener, and what is counted."""

import logging
import re
from typing import get_args

import httpx2
import pytest
from tests.server.conftest import nobodys_key

from hourpass.core.errors import RefusalReason
from hourpass.core.grant import Ahead, Dead, Decision, Replay
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.telemetry.counts import GRANTED, REFUSED, Counts
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.refusals import ConnectionFault, Refusals
from hourpass.server.telemetry.telemetry import render_metrics


def admin(server):
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=AdminApp(server.app)), base_url="http://admin.test")


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
async def test_every_series_is_there_from_the_start(server):
    """A rate over a counter that appears with its first event misses that event."""
    assert await samples(server) == {
        "hourpass_exchanges_total": "0.0",
        **{
            f'hourpass_refreshes_total{{outcome="{outcome}"}}': "0.0"
            for outcome in (
                *("rotate", "burst", "retry"),
                *("malformed", "expired", "replayed", "revoked", "key_disabled", "ahead", "unknown"),
                *("address_not_allowed", "access_token_given", "invalid_target"),
            )
        },
        "hourpass_retries_from_elsewhere_total": "0.0",
        'hourpass_credentials_accepted_total{kind="bearer"}': "0.0",
        'hourpass_credentials_accepted_total{kind="api_key"}': "0.0",
        "hourpass_credentials_refused_total": "0.0",
        "hourpass_grants_closed_total": "0.0",
        "hourpass_grants_pruned_total": "0.0",
        **{
            f'hourpass_connections_refused_total{{kind="{kind}"}}': "0.0"
            for kind in ("malformed", "headers_too_large", "body_too_large", "slow", "unread", "too_many")
        },
        "hourpass_unavailable_total": "0.0",
        "hourpass_failures_total": "0.0",
        "hourpass_log_lines_dropped_total": "0.0",
        "hourpass_stalls_total": "0.0",
        "hourpass_revocations_in_force": "0.0",
        "hourpass_clock_offset_seconds": "0.0",
    }


def test_every_counter_of_the_server_is_exported_once():
    counts = Counts()
    counts.update({name: number for number, name in enumerate(counts, start=1_000)})
    del counts["log_lines_dropped"]  # the log's writer is asked for it

    lines = render_metrics(counts, {}).decode().splitlines()
    exported = [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(r"hourpass_\w+_total", line)]

    assert sorted(exported) == sorted([0, *counts.values()])


def test_an_outcome_that_is_not_exported_cannot_be_counted():
    with pytest.raises(KeyError):
        Counts()["made_up"] += 1


@pytest.mark.parametrize("kind", get_args(ConnectionFault))
def test_each_kind_of_refused_connection_can_be_counted(kind):
    counts = Counts()

    Refusals(counts, LimitedLog(logging.getLogger("test"), lambda: 0.0))(kind, None)

    assert sum(counts.values()) == 1


def test_a_decision_is_counted_as_granted_or_by_the_reason_of_its_refusal():
    refused = {Replay: "replayed", Ahead: "ahead"}

    assert {*GRANTED, *refused, Dead} == set(get_args(Decision))
    assert {*refused.values()} <= {*REFUSED} == {*get_args(RefusalReason)}
    assert {*GRANTED.values(), *REFUSED.values()} <= Counts().keys()


@pytest.mark.anyio
async def test_requests_are_counted_by_outcome(server, http):
    key = await server.create_key()
    token = (await http.post("/auth/api-key", json={"apiKey": key})).json()["refresh_token"]
    await http.post("/auth/api-key", json={"apiKey": nobodys_key()})
    for _ in range(2):
        await http.post("/auth/refresh", json={"refreshToken": token})
    server.clock.advance(61)
    await http.post("/auth/refresh", json={"refreshToken": token})
    await http.post("/auth/refresh", json={"refreshToken": "x"})

    now = await samples(server)

    moved = {name for name, value in now.items() if value == "1.0"}
    assert moved == {
        "hourpass_exchanges_total",
        "hourpass_credentials_refused_total",
        'hourpass_refreshes_total{outcome="rotate"}',
        'hourpass_refreshes_total{outcome="retry"}',
        'hourpass_refreshes_total{outcome="replayed"}',
        'hourpass_refreshes_total{outcome="malformed"}',
        "hourpass_revocations_in_force",
    }


@pytest.mark.anyio
async def test_a_503_is_counted_once(server, http):
    await server.app.issuer.ledger.close()
    await http.post("/auth/api-key", json={"apiKey": nobodys_key()})

    assert (await samples(server))["hourpass_unavailable_total"] == "1.0"


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
    for path in ("/auth/api-key", "/oauth/token", "/auth/verify", "/.well-known/jwks.json", "/"):
        assert (await http.post(path)).status_code == 404


@pytest.mark.anyio
async def test_metrics_are_not_public(http):
    assert (await http.get("/metrics")).status_code == 404


def test_a_gauge_is_rendered_by_its_name():
    assert b"hourpass_revocations_in_force 3.0\n" in render_metrics(Counts(), {"revocations_in_force": 3})


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
    assert counted['hourpass_credentials_accepted_total{kind="bearer"}'] == "2.0"
    assert counted['hourpass_credentials_accepted_total{kind="api_key"}'] == "1.0"
