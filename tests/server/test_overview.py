"""The overview and the life of a grant, as the admin API answers them."""

import os
from urllib.parse import urlencode

import httpx2
import msgspec
import pytest
from tests.server.conftest import key_id_of
from tests.server.test_admin_keys import bearer

from hourpass.admin.shapes import Happened
from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidGrant
from hourpass.core.stats import Stats
from hourpass.core.webhook import Webhook
from hourpass.jose import decode_segment
from hourpass.server.admin.overview import COUNTED_AT_ONCE
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.keys.rotation import rotate_key_at_once
from hourpass.server.store.stats import GRANTS_IN_USE, Measured

pytestmark = pytest.mark.anyio


@pytest.fixture
async def admin(server):
    """A client of the admin listener."""
    app = AdminApp(server.app, "127.0.0.1:3601")
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    yield httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3601")
    await app.close()


@pytest.fixture
async def ask(server, admin):
    """Asks the admin API as an auditor."""
    headers = await bearer(admin, await server.create_key(admin="auditor", name="auditor"))

    async def ask(path, status=200):
        answer = await admin.get(f"/admin/v1{path}", headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def grant_id_of(refresh_token: bytes) -> str:
    return msgspec.json.decode(decode_segment(refresh_token.split(b".")[1]))["sid"]


async def written(server) -> None:
    """Let the node write down what it counted until now."""
    await server.app._running.background.keep_stats(leaving=True)
    await server.app.issuer.last_uses.keep()


def test_the_answer_has_every_number_that_is_kept():
    assert Happened.__struct_fields__ == Stats._fields


async def test_it_says_what_happened_and_what_there_is(server, ask):
    key = await server.create_key(raw_until=server.clock() + 10**10)
    await server.create_key(expires_in=1)
    pair = await server.exchange(key)
    await server.refresh(pair.refresh_token)
    await server.client().get("/auth/verify", auth=(key, ""))
    await written(server)

    found = await ask("/overview?hours=1")

    assert (found["hours"], found["point_minutes"], len(found["series"])) == (1, 1, 60)
    assert found["totals"]["refreshes"] == found["totals"]["raw_accepted"] == 1
    assert found["series"][-1]["at"] == found["at"] == "2027-01-15T08:00:00Z"
    assert found["series"][-1]["exchanges"] == found["totals"]["exchanges"] == 2  # the auditor's own, too
    assert found["keys"] == {"active": 3, "disabled": 0, "expired": 0, "revoked": 0, "raw_until_set": 1}
    assert found["raw"] == {"day": 1, "week": 1}
    assert found["live_grants"] == {"count": 2, "counted_at": found["at"]}
    attention = {item["kind"]: item for item in found["attention"]}
    assert attention["keys_expiring"] == {
        "kind": "keys_expiring",
        "severity": "warning",
        "count": 1,
        "sentence": "1 key expires within 30 days.",
        "place": "keys",
        "filters": {"expires_within": 2_592_000},
    }
    assert set(attention) - {"audit_not_chained"} == {"keys_expiring", "keys_raw"}


@pytest.mark.parametrize(("hours", "points"), [("", 96), ("?hours=1", 60), ("?hours=168", 84), ("?hours=192", 96)])
async def test_a_chart_has_as_many_points_as_fit(ask, hours, points):
    assert len((await ask(f"/overview{hours}"))["series"]) == points


@pytest.mark.parametrize("hours", ["0", "193", "1.5", "x"])
async def test_hours_that_are_not_kept_are_refused(ask, hours):
    await ask(f"/overview?hours={hours}", status=422)


async def test_the_filters_lead_to_the_keys_that_were_counted(server, ask):
    soon = await server.create_key(expires_in=86_400_000)
    raw = await server.create_key()
    await server.client().get("/auth/verify", auth=(raw, ""))
    await written(server)
    attention = {item["kind"]: item for item in (await ask("/overview"))["attention"]}

    for kind, key in (("keys_expiring", soon), ("keys_raw", raw)):
        query = "&".join(f"{name}={value}" for name, value in attention[kind]["filters"].items())
        found = await ask(f"/{attention[kind]['place']}?{query}")
        assert [each["key_id"] for each in found["data"]] == [key_id_of(key)]


async def kinds(ask):
    return {item["kind"]: item["count"] for item in (await ask("/overview"))["attention"]}


async def test_webhooks_that_do_not_deliver_need_attention_and_those_that_an_operator_disabled_do_not(server, ask):
    now = server.clock()
    plain = Webhook("a", "https://example.com/", (), "", now, (), 0)
    for webhook in (
        plain,
        plain._replace(webhook_id="b", disabled_at=now, disabled_why="operator"),
        plain._replace(webhook_id="c", disabled_at=now, disabled_why="gone", failing_since=now),
        plain._replace(webhook_id="d", disabled_at=now, disabled_why="failing", failing_since=now),
        plain._replace(webhook_id="e", failing_since=now),
    ):
        await server.app.issuer.ledger.run(lambda store, webhook=webhook: store.add_webhook(webhook))

    found = await kinds(ask)

    assert (found["webhooks_disabled"], found["webhooks_failing"]) == (2, 1)


async def test_a_signing_key_without_a_successor_and_one_that_waits_need_attention(server, ask):
    def retire(store):
        [stored] = store.signing_keys()
        store.retire_signing_key(stored.key.kid, server.clock() + 86_400_000)

    await server.app.issuer.ledger.run(retire)
    assert "signing_key_ends" in await kinds(ask)

    def publish(store):
        [stored] = store.signing_keys()
        waiting = stored.key._replace(kid="next", signs_from=server.clock() + 1_000, retired_at=None)
        store.add_signing_key(stored._replace(key=waiting))

    await server.app.issuer.ledger.run(publish)

    found = await kinds(ask)
    assert found["secrets_published"] == 1
    assert "signing_key_ends" not in found


async def test_answers_that_said_that_something_is_wrong_need_attention_for_a_day(server, ask):
    server.app.counts.add("unavailable", 3)
    server.app.counts.add("failure")
    await written(server)

    found = await kinds(ask)

    assert (found["storage_trouble"], found["failures"]) == (3, 1)


async def test_many_grants_are_not_counted_for_a_question(server, ask):
    """The number is then as old as the last walk over them, and says so."""
    many = Measured(COUNTED_AT_ONCE + 1, server.clock() - 60_000)
    await server.app.issuer.ledger.run(lambda store: store.note_measured(GRANTS_IN_USE, many))

    found = await ask("/overview")

    assert found["live_grants"] == {"count": many.value, "counted_at": "2027-01-15T07:59:00Z"}


async def test_a_replay_needs_attention_for_a_day_and_is_in_the_life_of_its_grant(server, ask):
    key = await server.create_key()
    first = await server.exchange(key)
    await server.refresh(first.refresh_token)
    await server.later(600)
    with pytest.raises(InvalidGrant):
        await server.refresh(first.refresh_token)

    [item] = [each for each in (await ask("/overview"))["attention"] if each["kind"] == "replays"]
    life = await ask(f"/grants/{grant_id_of(first.refresh_token)}/timeline")

    assert (item["count"], item["severity"], item["filters"]["event"]) == (1, "critical", "grant.replayed")
    assert [event["kind"] for event in life["events"]] == ["opened", "rotated", "replayed"]
    assert (life["state"], life["generation"], life["key_id"]) == ("replayed", 1, key_id_of(key))
    assert life["events"][-1]["weight"] == "bad"


async def test_keys_that_are_used_after_their_end_need_attention_for_a_day_each_once(server, ask):
    revoked, rotated = await server.create_key(), await server.create_key()
    await server.revoke_key(revoked)
    issuer, key_id = server.app.issuer, key_id_of(rotated)
    await issuer.ledger.run(
        lambda store: rotate_key_at_once(
            store, issuer.secrets, key_id, server.clock(), issuer.policy, random=os.urandom, actor=Actor("test")
        )
    )
    await server.later(0)
    for key in (revoked, rotated):
        for address in ("192.0.2.1", "192.0.2.2"):
            await server.client(address).post("/auth/api-key", json={"apiKey": key})

    items = {each["kind"]: each for each in (await ask("/overview"))["attention"]}
    for kind in ("keys_revoked_used", "keys_rotated_used"):
        assert (items[kind]["count"], items[kind]["severity"]) == (1, "warning")
        lines = (await ask(f"/audit?{urlencode(items[kind]['filters'])}"))["data"]
        assert [line["address"] for line in lines] == ["192.0.2.1", "192.0.2.2"]


async def test_the_life_of_an_unknown_grant_is_not_told(server, ask):
    await ask(f"/grants/{'0' * 32}/timeline", status=404)
    await ask("/grants/nonsense/timeline", status=404)


async def test_a_delegated_admin_key_sees_the_grants_of_its_subjects_and_no_overview(server, admin):
    delegated = await server.create_key(
        admin="operator", subject_prefix="acme/", max_scope="a", subject="acme/admin", name="delegated"
    )
    headers = await bearer(admin, delegated)
    pairs = {
        subject: await server.exchange(await server.create_key(subject=subject)) for subject in ("acme/1", "other")
    }

    async def status(path):
        answer = await admin.get(f"/admin/v1{path}", headers=headers)
        return answer.status_code, answer.json().get("detail")

    theirs = await status(f"/grants/{grant_id_of(pairs['other'].refresh_token)}/timeline")
    nobodys = await status(f"/grants/{'0' * 32}/timeline")
    assert theirs == nobodys == (404, theirs[1])
    assert (await status(f"/grants/{grant_id_of(pairs['acme/1'].refresh_token)}/timeline"))[0] == 200
    assert (await status("/overview"))[0] == 403
