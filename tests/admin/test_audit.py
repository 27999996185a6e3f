"""The audit trail over the admin API: pages in both directions, what follows, and what a delegated caller sees."""

import asyncio

import msgspec
import pytest
from tests.admin.conftest import MASTER_KEY, refused

from hourpass.admin.shapes import AuditLine
from hourpass.core import grant_events, key_events
from hourpass.core.actor import Actor
from hourpass.server.admin import audit as admin_audit
from hourpass.server.admin.audit import DISTANCE
from hourpass.server.keys.audit_chain import verify_trail

pytestmark = pytest.mark.anyio

ADA = Actor("cli:ada@desk", "192.0.2.9", "0123")
OTHER = Actor("cli:bob@desk")
CLIENT = Actor("client", "198.51.100.7", "4567")


async def append(server, *events):
    now = server.clock()
    await server.app.issuer.ledger.run(lambda store: store.append_audit(now, events))


async def lines(client, **query):
    """Everything that a list has, page by page, each page before the ones that came earlier if they go back."""
    found, sizes = [], set()
    while True:
        answer = (await client.get("audit", params=query)).json()
        found = answer["data"] + found if query.get("newest") else found + answer["data"]
        sizes.add(len(answer["data"]))
        if answer["next"] is None:
            assert max(sizes) <= query.get("limit", 50)
            return found
        query["cursor"] = answer["next"]


def numbers(found):
    return [line["number"] for line in found]


@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_pages_forward_and_back_have_every_line_once_in_order(server, owner, limit):
    await append(server, *[key_events.KeyImported(f"key{n}", "one", ADA) for n in range(7)])
    everything = numbers(await lines(owner, limit=200))

    assert everything == sorted(set(everything))
    assert numbers(await lines(owner, limit=limit)) == everything
    assert numbers(await lines(owner, limit=limit, newest=True)) == everything
    imported = await lines(owner, limit=limit, newest=True, event="key.imported")
    assert [line["key_id"] for line in imported] == [f"key{n}" for n in range(7)]


async def test_a_page_costs_little_and_the_next_one_goes_on_though_nothing_was_wanted(server, owner):
    await append(server, *[key_events.KeyImported("key", "one", ADA) for _ in range(5_100)])

    page = (await owner.get("audit", params={"event": "key.revoked"})).json()

    assert (page["data"], page["last"]) == ([], 5_000)
    assert await lines(owner, event="key.revoked") == []
    assert await lines(owner, event="key.created", newest=True, limit=1) == await lines(owner, event="key.created")


async def test_a_page_looks_through_a_part_of_the_trail_for_an_actor_and_the_next_one_goes_on(server, owner):
    await append(
        server, key_events.KeyImported("key", "one", ADA), *[key_events.KeyImported("key", "x", OTHER)] * DISTANCE
    )

    page = (await owner.get("audit", params={"actor": "cli:ada", "newest": True})).json()

    assert (page["data"], page["next"] is None) == ([], False)
    assert [line["actor"] for line in await lines(owner, actor="cli:ada", newest=True)] == ["cli:ada@desk"]


async def test_a_follower_goes_on_after_the_last_line(server, owner):
    last = (await owner.get("audit", params={"newest": True, "limit": 1})).json()["last"]
    assert (await owner.get("audit", params={"after": last})).json() == {"data": [], "next": None, "last": last}
    await append(server, key_events.KeyRevoked("key", "leaked", ADA))

    [line] = (await owner.get("audit", params={"after": last})).json()["data"]

    assert line == {
        "number": last + 1,
        "at": "2027-01-15T08:00:00Z",
        "event": "key.revoked",
        "key_id": "key",
        "grant_id": None,
        "actor": "cli:ada@desk",
        "address": "192.0.2.9",
        "request_id": "0123",
        "detail": {"reason": "leaked"},
    }


@pytest.mark.parametrize(
    "query",
    [
        {"event": "key.made"},
        {"since": "yesterday"},
        {"cursor": "c1"},
        {"cursor": "b"},
        {"limit": 201},
        {"newest": True, "after": 1},
    ],
)
async def test_what_cannot_be_read_is_refused(owner, query):
    assert refused(await owner.get("audit", params=query)) == (422, "invalid_request")


@pytest.mark.parametrize("newest", [False, True])
async def test_a_delegated_caller_sees_its_own_keys_and_no_other_administrators(server, delegated, newest):
    key = (await delegated.post("keys", json={"name": "a", "subject": "acme/a", "scope": "videos.read"})).json()
    own = key["key_id"]
    theirs = (await server.create_key(subject="other")).split("_")[2]
    replay = grant_events.GrantReplayed("00" * 16, own, 1, 2, CLIENT)
    await append(
        server, key_events.KeyRevoked(theirs, "leaked", ADA), key_events.KeyRevoked(own, "leaked", ADA), replay
    )
    me = f"key:{(await delegated.get('me')).json()['key_id']}"

    found = await lines(delegated, newest=newest)

    assert {line["key_id"] for line in found} == {own}
    assert [(line["event"], line["actor"], line["address"]) for line in found] == [
        ("key.created", me, "127.0.0.1"),
        ("key.revoked", "operator", None),
        ("grant.replayed", "client", "198.51.100.7"),
    ]
    assert await lines(delegated, newest=newest, actor="cli:") == []
    assert len(await lines(delegated, newest=newest, actor="operator")) == 1
    assert await lines(delegated, newest=newest, key_id=theirs) == []
    events = (await delegated.get("events")).json()["data"]
    assert [(event["type"], event["data"]["actor"], event["data"]["address"]) for event in events] == [
        (line["event"], line["actor"], line["address"]) for line in found
    ]
    assert refused(await delegated.get("audit/verify")) == (403, "not_delegated")


async def test_the_trail_is_verified(owner):
    verified = (await owner.get("audit/verify")).json()

    assert (verified["intact"], verified["findings"]) == (True, [])
    assert verified["lines"] == len(await lines(owner))


async def test_a_change_is_told_with_the_values_of_the_admin_api(server, owner):
    made = (await owner.post("keys", json={"name": "a", "tags": {"plan": "old"}, "claims": {"seats": 1}})).json()
    members = {
        "retry_window": 30,
        "access_token_lifetime": 600,
        "expires_at": "2027-03-01T00:00:00Z",
        "raw_until": "2027-02-01T00:00:00Z",
        "tags": {},
        "claims": {"seats": 2},
        "allowed_ips": ["192.0.2.0/24"],
        "self_rotation": True,
        "scope": "videos.read",
    }

    changed = (await owner.patch(f"keys/{made['key_id']}", json=members)).json()

    [line] = await lines(owner, event="key.updated")
    told = line["detail"]
    assert {name: changed[name] for name in members} == members
    assert {name: told["new"][name] for name in members} == members
    assert {name: told["old"][name] for name in members} == {name: made[name] for name in members}


async def test_a_line_about_a_secret_keeps_its_own_number_everywhere(server, owner):
    key_id = (await owner.post("keys", json={"name": "a"})).json()["key_id"]
    await owner.post(f"keys/{key_id}/rotate")

    [line] = await lines(owner, event="key.rotated")
    event = (await owner.get("events", params={"after": line["number"] - 1})).json()["data"][0]
    flat = msgspec.convert(line, AuditLine).members()

    assert (event["type"], event["number"], flat["number"]) == ("key.rotated", line["number"], line["number"])
    assert flat["secret_number"] == line["detail"]["secret_number"] == event["data"]["detail"]["secret_number"] == 1


async def test_many_who_verify_at_once_share_one_pass_and_each_is_judged(start, tmp_path, monkeypatch):
    server = await start(database_url=f"sqlite:{tmp_path / 'hourpass.db'}", master_key=MASTER_KEY)
    readers = [await server.caller("auditor") for _ in range(20)]
    stranger = await server.caller_with((await server.caller("owner")).api_key, scope="keys:read")
    passes = []
    monkeypatch.setattr(admin_audit, "verify_trail", lambda *asked: passes.append(asked) or verify_trail(*asked))

    answers = await asyncio.gather(*(each.get("/audit/verify") for each in [*readers, stranger]))

    assert [answer.status_code for answer in answers] == [200] * 20 + [403]
    assert all(answer.json()["intact"] for answer in answers[:20])
    assert 1 <= len(passes) <= 3, "the one that ran, and one for all who came meanwhile"


async def test_what_an_admin_key_may_do_is_in_the_trail_from_its_making_through_each_change(owner):
    delegated = {"admin": "operator", "subject_prefix": "acme/", "max_scope": "videos.read"}
    made = {}
    for name, members in (("plain", {}), ("wide", {"admin": "auditor"}), ("narrow", delegated)):
        made[name] = (await owner.post("keys", json={"name": name, **members})).json()["key_id"]
    wider = {"admin": "owner", "subject_prefix": None, "max_scope": None}
    assert (await owner.patch(f"keys/{made['narrow']}", json=wider)).status_code == 200

    told = [(line["event"], line["detail"]) for line in await lines(owner) if line["key_id"] in made.values()]
    for values in told[-1][1].values():
        assert "keys:read" in values.pop("scope").split()  # all that the role may do, told as well

    assert told == [
        ("key.created", {"name": "plain"}),
        ("key.created", {"name": "wide", "admin": "auditor"}),
        ("key.created", {"name": "narrow", **delegated}),
        ("key.updated", {"old": delegated, "new": wider}),
    ]
