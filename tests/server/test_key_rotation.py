"""The secret of an API key is replaced while servers run: nobody who holds a good one is refused for a moment.

On both databases, with two nodes where they share one.
"""

import asyncio
import os
import random
from contextlib import AsyncExitStack

import httpx2
import pytest
from tests.copy.conftest import Postgres, Sqlite
from tests.postgres.cluster import NEWEST, clusters_of
from tests.postgres.conftest import LocalNode
from tests.server.conftest import claims_of, key_id_of, other_secret
from tests.server.test_imported_keys import TEXT, import_key

from hourpass.core.actor import Actor
from hourpass.core.api_key import KeySecret
from hourpass.core.errors import (
    InvalidCredentials,
    InvalidGrant,
    InvalidRequest,
    InvalidToken,
    RotationUnderWay,
)
from hourpass.core.policy import DAY, HOUR, SECOND
from hourpass.core.token_request import TokenRequest
from hourpass.server.issuing.self_rotation import next_secret
from hourpass.server.keys.api_keys import create_key, revoke_key
from hourpass.server.keys.editing import update_key
from hourpass.server.keys.rotation import rotate_key, rotate_key_at_once
from hourpass.testing import Clock, InMemoryServer

pytestmark = pytest.mark.anyio


class Installation:
    """Nodes on one database. What is said of one of them is said of the last one: it may know less than the first."""

    def __init__(self, nodes: list[LocalNode], clock: Clock) -> None:
        self.nodes = nodes
        self.clock = clock
        self.first, self.last = nodes[0].app, nodes[-1].app

    async def run(self, work):
        return await self.first.issuer.ledger.run(work)

    async def create_key(self, **members) -> str:
        pepper = self.first.issuer.secrets.pepper
        made = await self.run(
            lambda store: create_key(
                store, pepper, name="test", now=self.clock(), random=os.urandom, actor=Actor("test"), **members
            )
        )
        return made.api_key

    async def rotate(self, api_key: str, *, overlap: int = HOUR) -> str:
        """As an operator does beside the servers."""
        secrets, key_id = self.first.issuer.secrets, key_id_of(api_key)
        made = await self.run(
            lambda store: rotate_key(
                store, secrets, key_id, self.clock(), overlap=overlap, random=os.urandom, actor=Actor("test")
            )
        )
        return made.api_key

    async def rotate_at_once(self, api_key: str) -> str:
        """As an operator does after a leak. Every node takes note."""
        issuer, key_id = self.first.issuer, key_id_of(api_key)
        made = await self.run(
            lambda store: rotate_key_at_once(
                store, issuer.secrets, key_id, self.clock(), issuer.policy, random=os.urandom, actor=Actor("test")
            )
        )
        await self.observe()
        return made.api_key

    async def observe(self) -> None:
        for node in self.nodes:
            await node.app.issuer.verification.observe(self.clock())

    async def exchange(self, api_key: str, address: str | None = None):
        return await self.last.issuer.exchange(api_key, TokenRequest(), address, self.clock())

    async def refused_as(self, api_key: str, address: str | None = None) -> str | None:
        with pytest.raises(InvalidCredentials) as refused:
            await self.exchange(api_key, address)
        return refused.value.reason

    async def secrets(self, api_key: str) -> tuple[KeySecret, ...]:
        return (await self.first.issuer.ledger.read(lambda store: store.key(key_id_of(api_key)))).secrets

    async def trail(self, event: str) -> list[dict]:
        records = await self.first.issuer.ledger.read(lambda store: store.audit_after(0, 1_000))
        return [
            record.detail | {"actor": record.actor, "address": record.address}
            for record in records
            if record.event == event
        ]

    def http(self, **headers: str) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.last, client=("192.0.2.1", 50_000))
        return httpx2.AsyncClient(transport=transport, base_url="http://hourpass.test", headers=headers)


@pytest.fixture(params=["sqlite", "postgres"])
async def installation(request, tmp_path):
    if request.param == "sqlite":
        database, names = Sqlite(tmp_path / "database", request.config), ["one"]
    else:
        database, names = Postgres(clusters_of(request.config).shared(NEWEST)), ["one", "two"]
    clock = Clock()
    nodes = [LocalNode(database.url, tmp_path / name, clock) for name in names]
    for node in nodes:
        await node.app.start()
        await node.running.background.stop()
    yield Installation(nodes, clock)
    for node in nodes:
        await node.app.stop()
    database.close()


async def test_both_secrets_are_good_until_the_new_one_is_used_and_for_the_overlap_after(installation):
    old = await installation.create_key()
    await installation.exchange(old)  # the node remembers the key as it was
    new = await installation.rotate(old, overlap=HOUR)

    installation.clock.advance(30 * DAY / SECOND)
    await installation.exchange(old)
    await installation.exchange(new)
    installation.clock.advance((HOUR - 1) / SECOND)
    await installation.exchange(old)
    installation.clock.advance(0.001)
    await installation.last.issuer.verification.observe(installation.clock())

    assert await installation.refused_as(old) == "rotated"
    await installation.exchange(new)


async def test_a_rotation_keeps_the_key_and_its_grants(installation):
    old = await installation.create_key(scope="a b", subject="acct-7")
    pair = await installation.exchange(old)

    new = await installation.rotate(old, overlap=0)
    await installation.exchange(new)

    assert key_id_of(new) == key_id_of(old)
    refreshed = await installation.last.issuer.refresh(
        pair.refresh_token.decode(), TokenRequest(), None, installation.clock()
    )
    assert refreshed.scope == "a b"


async def test_asking_again_before_the_first_use_replaces_the_unused_secret(installation):
    old = await installation.create_key()
    lost = await installation.rotate(old)

    new = await installation.rotate(old)

    assert await installation.refused_as(lost) is None
    await installation.exchange(old)
    await installation.exchange(new)
    assert [secret.n for secret in await installation.secrets(old)] == [0, 2]


async def test_a_third_secret_must_wait_for_the_overlaps_end(installation):
    old = await installation.create_key()
    new = await installation.rotate(old, overlap=HOUR)
    await installation.exchange(new)

    with pytest.raises(RotationUnderWay) as refused:
        await installation.rotate(old)

    assert refused.value.ends_at == installation.clock() + HOUR
    assert refused.value.retry_after == HOUR // SECOND
    installation.clock.advance(HOUR / SECOND)
    await installation.exchange(await installation.rotate(old))


@pytest.mark.parametrize("overlap", [-1, 30 * DAY + 1])
async def test_an_overlap_is_up_to_thirty_days(installation, overlap):
    with pytest.raises(InvalidRequest, match="an overlap is 0 to 30 days"):
        await installation.rotate(await installation.create_key(), overlap=overlap)


async def test_a_key_that_has_ended_does_not_rotate(installation):
    old = await installation.create_key()
    policy = installation.first.settings.policy()
    await installation.run(lambda store: revoke_key(store, key_id_of(old), installation.clock(), policy, Actor("test")))

    with pytest.raises(InvalidRequest, match="the key is revoked: it cannot rotate"):
        await installation.rotate(old)


async def test_a_key_of_a_program_that_knows_one_secret_rotates(installation):
    old = await installation.create_key()
    ((first,)) = await installation.secrets(old)
    await installation.run(lambda store: store.delete_key_secret(first.digest))

    new = await installation.rotate(old)

    await installation.exchange(old)
    await installation.exchange(new)


async def test_only_a_good_answer_is_a_first_use(installation):
    old = await installation.create_key(scope="a")
    new = await installation.rotate(old, overlap=0)

    async with installation.http() as http:
        wrong = await http.post("/auth/api-key", json={"apiKey": new, "scope": "b"})
        basic = httpx2.BasicAuth(new, "")
        introspected = await http.post("/oauth/introspect", data={"token": "x"}, auth=basic)
        revoked = await http.post("/oauth/revoke", data={"token": "x"}, auth=basic)
        elsewhere = await http.get("/auth/verify?scope=b", auth=basic)
    assert [wrong.status_code, introspected.status_code, elsewhere.status_code] == [400, 403, 403]
    assert revoked.status_code == 200
    await installation.exchange(old)

    async with installation.http() as http:
        assert (await http.get("/auth/verify", auth=basic)).status_code == 204
    await installation.last.issuer.verification.observe(installation.clock())
    assert await installation.refused_as(old) == "rotated"


async def test_introspection_and_a_refresh_with_client_credentials_are_uses(installation):
    for use in ("introspect", "token"):
        old = await installation.create_key(scope="introspect")
        pair = await installation.exchange(old)
        new = await installation.rotate(old)
        form = {"token": "x"}
        if use == "token":
            form = {"grant_type": "refresh_token", "refresh_token": pair.refresh_token.decode()}

        async with installation.http() as http:
            answer = await http.post(f"/oauth/{use}", data=form, auth=httpx2.BasicAuth(new, ""))

        assert answer.status_code == 200
        assert (await installation.secrets(old))[1].first_used_at == installation.clock()


async def test_a_secret_that_was_replaced_while_its_first_use_was_under_way_is_refused(installation):
    old = await installation.create_key()
    lost = await installation.rotate(old)
    proven = await installation.last.issuer.prove(lost, None, installation.clock())
    await installation.rotate(old)

    with pytest.raises(InvalidCredentials):
        await installation.last.issuer.open(proven, TokenRequest(), None, installation.clock())


async def test_a_proof_from_memory_opens_nothing_from_where_the_key_may_no_longer_be_used(installation):
    """Neither a grant nor a rotation: both would outlast the moment until a node looks."""
    key = await installation.create_key(self_rotation=True)
    issuer, now, outside = installation.last.issuer, installation.clock(), "198.51.100.1"
    proven = await issuer.prove(key, outside, now)
    await installation.run(
        lambda store: update_key(store, key_id_of(key), {"allowed_ips": ["192.0.2.0/24"]}, now, actor=Actor("test"))
    )

    for work in (next_secret(issuer, key, outside, now), issuer.open(proven, TokenRequest(), outside, now)):
        with pytest.raises(InvalidCredentials) as refused:
            await work
        assert refused.value.reason == "address_not_allowed"
    assert len(await installation.secrets(key)) == 1
    issuer = installation.first.issuer
    await issuer.exchange(key, TokenRequest(), "192.0.2.7", now)


async def test_a_grant_is_not_opened_by_a_secret_that_ended_meanwhile(installation):
    """Another node has seen the first use of the new one, and the old one has no overlap."""
    old = await installation.create_key()
    proven = await installation.last.issuer.prove(old, None, installation.clock())
    new = await installation.rotate(old, overlap=0)
    await installation.first.issuer.exchange(new, TokenRequest(), None, installation.clock())

    with pytest.raises(InvalidCredentials):
        await installation.last.issuer.open(proven, TokenRequest(), None, installation.clock())


async def test_many_first_uses_at_once_on_every_node_are_one(installation):
    old = await installation.create_key()
    new = await installation.rotate(old)
    nodes = [node.app.issuer for node in installation.nodes]

    await asyncio.gather(
        *(nodes[n % len(nodes)].exchange(new, TokenRequest(), None, installation.clock() + n) for n in range(32))
    )

    first, second = await installation.secrets(old)
    assert first.ends_at == second.first_used_at + HOUR


async def test_a_guess_at_a_known_key_is_told_nothing_and_writes_nothing(installation):
    old = await installation.create_key()
    await installation.exchange(old)

    assert await installation.refused_as(other_secret(old)) is None
    assert await installation.trail("key.rotated_used") == []


async def test_a_secret_in_use_after_its_end_is_told_with_its_address_once_an_hour(installation):
    old = await installation.create_key()
    await installation.exchange(await installation.rotate(old, overlap=0))
    await installation.last.issuer.verification.observe(installation.clock())

    for _ in range(3):
        assert await installation.refused_as(old, "192.0.2.7") == "rotated"
    assert await installation.trail("key.rotated_used") == [{"number": 0, "actor": "client", "address": "192.0.2.7"}]

    installation.clock.advance(HOUR / SECOND)
    assert await installation.refused_as(old) == "rotated"
    assert await installation.trail("key.rotated_used") == [
        {"number": 0, "actor": "client", "address": "192.0.2.7"},
        {"number": 0, "actor": "client", "address": None},
    ]


async def test_who_uses_an_ended_secret_is_told_that_it_was_rotated(installation):
    old = await installation.create_key()
    await installation.exchange(await installation.rotate(old, overlap=0))
    await installation.last.issuer.verification.observe(installation.clock())

    async with installation.http() as http:
        exchanged = await http.post("/auth/api-key", json={"apiKey": old})
        verified = await http.get("/auth/verify", auth=httpx2.BasicAuth(old, ""))

    assert (exchanged.status_code, exchanged.json()["reason"]) == (400, "rotated")
    assert verified.status_code == 401
    assert 'error_description="rotated"' in verified.headers["www-authenticate"]


async def test_a_rotation_is_in_the_trail_and_nothing_secret_is(installation):
    old = await installation.create_key()
    await installation.rotate(old, overlap=HOUR)

    assert await installation.trail("key.rotated") == [
        {"number": 1, "overlap": 3600, "at_once": False, "actor": "test", "address": None}
    ]


# After a leak.


@pytest.mark.parametrize("late", [0, 1, 500, 999], ids=lambda late: f"{late} ms into a second")
async def test_after_a_leak_everything_older_ends_at_once_and_the_new_secret_works_at_once(installation, late):
    installation.clock.advance(late / 1_000 - installation.clock() % 1_000 / 1_000 + 1)
    old, bystander = await installation.create_key(), await installation.create_key()
    pair, other = await installation.exchange(old), await installation.exchange(bystander)

    new = await installation.rotate_at_once(old)

    assert await installation.refused_as(old) == "rotated"
    for node in installation.nodes:
        issuer = node.app.issuer
        with pytest.raises(InvalidToken, match="revoked"):
            issuer.verification.verify(pair.access_token, installation.clock())
        issuer.verification.verify(other.access_token, installation.clock())
        with pytest.raises(InvalidGrant) as refused:
            await issuer.refresh(pair.refresh_token.decode(), TokenRequest(), None, installation.clock())
        assert refused.value.reason == "revoked"
    fresh = await installation.exchange(new)
    for _ in range(3):
        for node in installation.nodes:
            issuer = node.app.issuer
            issuer.verification.verify(fresh.access_token, installation.clock())
            fresh = await issuer.refresh(fresh.refresh_token.decode(), TokenRequest(), None, installation.clock())
        installation.clock.advance(0.5)


async def test_a_token_of_the_same_second_is_issued_at_the_next_one(installation):
    old = await installation.create_key()
    new = await installation.rotate_at_once(old)
    second = installation.clock() // SECOND

    assert claims_of((await installation.exchange(new)).access_token)["iat"] == second + 1
    installation.clock.advance(2)
    assert claims_of((await installation.exchange(new)).access_token)["iat"] == second + 2


async def test_the_feed_has_a_cutoff_and_an_entry_for_each_grant_that_may_have_tokens(installation):
    """A verifier that knows no cutoffs refuses the tokens by their grants, and accepts the new ones."""
    old = await installation.create_key()
    idle = await installation.exchange(old)
    installation.clock.advance(2 * HOUR / SECOND)
    pairs = [await installation.exchange(old) for _ in range(3)]

    await installation.rotate_at_once(old)

    entries = await installation.first.issuer.ledger.read(
        lambda store: store.revocations_after(0, installation.clock())
    )
    assert {entry.value for entry in entries if entry.kind == "grant"} == {
        claims_of(pair.access_token)["sid"] for pair in pairs
    }
    assert claims_of(idle.access_token)["sid"] not in {entry.value for entry in entries}
    (cutoff,) = [entry for entry in entries if entry.kind == "key"]
    assert (cutoff.value, cutoff.issued_before) == (key_id_of(old), installation.clock() // SECOND + 1)


async def test_a_rotation_at_once_that_is_made_again_ends_only_what_is_new(installation):
    """Each entry is kept for a day, and sent to every verifier."""
    key = await installation.create_key()
    pairs = [await installation.exchange(key) for _ in range(3)]

    async def entries() -> list[tuple[str, str]]:
        listed = await installation.run(lambda store: store.revocations_after(0, installation.clock()))
        return [(entry.kind, entry.value) for entry in listed]

    for _ in range(3):
        key = await installation.rotate_at_once(key)
    assert sorted(entries_ := await entries()) == sorted(
        [("key", key_id_of(key)), *(("grant", claims_of(pair.access_token)["sid"]) for pair in pairs)]
    )

    installation.clock.advance(10)
    fresh = await installation.exchange(key)
    installation.clock.advance(10)
    await installation.rotate_at_once(key)
    assert (await entries())[len(entries_) :] == [
        ("grant", claims_of(fresh.access_token)["sid"]),
        ("key", key_id_of(key)),
    ]


async def test_what_was_opened_between_two_rotations_of_one_second_ends_with_the_second(installation):
    second = await installation.rotate_at_once(await installation.create_key())
    pair = await installation.exchange(second)

    await installation.rotate_at_once(second)

    for seconds in (0, 1, 2 * DAY // SECOND):
        installation.clock.advance(seconds)
        await installation.observe()
        with pytest.raises(InvalidGrant) as refused:
            await installation.last.issuer.refresh(
                pair.refresh_token.decode(), TokenRequest(), None, installation.clock()
            )
        assert refused.value.reason == "revoked"
        with pytest.raises(InvalidToken):
            installation.last.issuer.verification.verify(pair.access_token, installation.clock())


async def test_a_stale_proof_of_the_leaked_secret_opens_nothing(installation):
    old = await installation.create_key()
    proven = await installation.last.issuer.prove(old, None, installation.clock())
    await installation.rotate_at_once(old)
    installation.clock.advance(5)

    with pytest.raises(InvalidCredentials):
        await installation.last.issuer.open(proven, TokenRequest(), None, installation.clock())


async def test_a_leak_ends_both_secrets_of_a_rotation_and_one_that_nobody_used(installation):
    old = await installation.create_key()
    waiting = await installation.rotate(old)
    second = await installation.rotate_at_once(old)
    assert await installation.refused_as(waiting) is None

    third = await installation.rotate(old)
    await installation.exchange(third)
    await installation.rotate_at_once(old)

    assert {await installation.refused_as(each) for each in (old, second, third)} == {"rotated"}


async def test_a_key_that_has_ended_is_not_rotated_at_once_either(installation):
    old = await installation.create_key(expires_at=installation.clock() + 1)
    installation.clock.advance(1)

    with pytest.raises(InvalidRequest, match="the key is expired: it cannot rotate"):
        await installation.rotate_at_once(old)


# A key rotates itself.


async def asked(installation, *keys: str) -> list[httpx2.Response]:
    """The answers to everybody who asks at once, over every node in turn."""
    apps = [each.app for each in installation.nodes]
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://hourpass.test")
            )
            for app in apps
        ]
        return await asyncio.gather(
            *(clients[n % len(clients)].post("/auth/rotate", json={"apiKey": key}) for n, key in enumerate(keys))
        )


async def ask(installation, key: str) -> httpx2.Response:
    return (await asked(installation, key))[0]


async def test_a_key_that_may_gets_its_next_secret_and_the_same_one_again(installation):
    old = await installation.create_key(self_rotation=True)

    first, second = [await ask(installation, old) for _ in range(2)]
    new = first.json()["apiKey"]
    assert (first.status_code, first.json()) == (200, second.json())
    assert key_id_of(new) == key_id_of(old) != new
    await installation.exchange(new)

    assert (await ask(installation, old)).json() == {"apiKey": new}
    assert [secret.n for secret in await installation.secrets(old)] == [0, 1]
    assert [line["actor"] for line in await installation.trail("key.rotated")] == ["client"]


async def test_the_new_secret_waits_for_the_overlaps_end_before_it_asks(installation):
    old = await installation.create_key(self_rotation=True)
    new = (await ask(installation, old)).json()["apiKey"]

    waiting = await ask(installation, new)
    await installation.exchange(new)
    refused = await ask(installation, new)

    for answer in (waiting, refused):
        assert (answer.status_code, answer.headers["retry-after"]) == (409, "86400")
        assert answer.json()["reason"] == "rotation_under_way"
    installation.clock.advance(DAY / SECOND)
    third = (await ask(installation, new)).json()["apiKey"]
    await installation.exchange(third)
    await installation.observe()
    assert (await ask(installation, old)).json()["reason"] == "rotated"


async def test_a_key_that_may_not_rotate_itself_is_told_so(installation):
    answer = await ask(installation, await installation.create_key())

    assert answer.status_code == 403
    assert answer.json()["reason"] == "self_rotation_off"


async def test_who_asks_with_nobodys_key_learns_nothing(installation):
    old = await installation.create_key(self_rotation=True)

    assert [answer.status_code for answer in await asked(installation, other_secret(old), "x")] == [400, 400]
    assert "reason" not in (await ask(installation, other_secret(old))).json()


async def test_an_operators_unused_next_secret_is_the_answer_too(installation):
    """Other callers may ask as well: the holder of the newest answer is never refused."""
    old = await installation.create_key(self_rotation=True)
    new = await installation.rotate(old)

    assert (await ask(installation, old)).json() == {"apiKey": new}


async def test_keys_with_another_prefix_get_another_next_secret(installation):
    """What was answered cannot be said again, so it is replaced if nobody used it."""
    old = await installation.create_key(self_rotation=True)
    lost = (await ask(installation, old)).json()["apiKey"]
    for node in installation.nodes:
        node.app.issuer.key_prefix = "acme"

    new = (await ask(installation, old)).json()["apiKey"]

    assert new.startswith("acme_production_")
    assert await installation.refused_as(lost) is None
    await installation.exchange(new)


async def test_without_an_overlap_a_question_is_a_first_use(installation):
    for node in installation.nodes:
        node.app.issuer.rotation_overlap = 0
    old = await installation.create_key(self_rotation=True)
    second = (await ask(installation, old)).json()["apiKey"]

    third = (await ask(installation, second)).json()["apiKey"]

    await installation.observe()
    assert await installation.refused_as(old) == "rotated"
    await installation.exchange(second)
    await installation.exchange(third)


async def test_rotations_share_the_limit_of_the_exchange(installation):
    old = await installation.create_key(self_rotation=True)
    for node in installation.nodes:
        for _ in range(600):
            node.app.issuer.admit((await installation.last.issuer.prove(old, None, installation.clock())).key)

    assert (await ask(installation, old)).status_code == 429


async def test_32_who_ask_at_once_get_the_same_answer(installation):
    old = await installation.create_key(self_rotation=True)

    answers = await asked(installation, *[old] * 32)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["apiKey"] for answer in answers}) == 1
    assert len(await installation.secrets(old)) == 2


async def test_no_key_is_lost_while_one_answer_in_twenty_is(installation):
    """32 programs that share a key, each with the newest secret that it was told of, through a hundred rotations."""
    chance = random.Random(1)
    old = await installation.create_key(self_rotation=True)
    held = [old] * 32
    for node in installation.nodes:
        node.app.issuer._exchanges = node.app.issuer._exchanges.__class__(0)
    for _ in range(100):
        by_question: dict[str, set[str]] = {}
        for n, (key, answer) in enumerate(zip(list(held), await asked(installation, *held), strict=True)):
            assert answer.status_code in (200, 409), answer.text
            if answer.status_code == 200:
                by_question.setdefault(key, set()).add(answer.json()["apiKey"])
                if chance.random() >= 0.05:
                    held[n] = answer.json()["apiKey"]
        assert all(len(answers) == 1 for answers in by_question.values())
        for key in held:
            await installation.exchange(key)
        alive = [s for s in await installation.secrets(old) if s.ends_at is None or s.ends_at > installation.clock()]
        assert len(alive) <= 2
        if len(set(held)) == 1:
            installation.clock.advance(DAY / SECOND)
            await installation.observe()
    assert max(secret.n for secret in await installation.secrets(old)) > 5


async def test_an_imported_key_rotates_into_one_of_our_own_with_the_same_id(server, http):
    await import_key(server, self_rotation=True)
    assert (await http.post("/auth/api-key", json={"apiKey": TEXT})).status_code == 200

    new = (await http.post("/auth/rotate", json={"apiKey": TEXT})).json()["apiKey"]

    assert new.startswith("hp_production_imported0001_")
    for key in (TEXT, new, TEXT):
        assert (await http.post("/auth/api-key", json={"apiKey": key})).status_code == 200
    assert (await http.post("/auth/rotate", json={"apiKey": TEXT})).json() == {"apiKey": new}
    await server.later(DAY / SECOND)
    assert (await http.post("/auth/api-key", json={"apiKey": TEXT})).json()["reason"] == "rotated"
    assert (await http.post("/auth/api-key", json={"apiKey": new})).status_code == 200


async def test_a_node_that_still_remembers_an_ended_secret_says_why_it_is_refused(installation):
    """The proof is judged by what is remembered, the grant by what is so."""
    old = await installation.create_key()
    await installation.exchange(old)
    await installation.exchange(await installation.rotate(old, overlap=0))

    with pytest.raises(InvalidCredentials) as refused:
        await installation.exchange(old)

    assert refused.value.reason == "rotated"


async def test_an_exchange_that_fails_is_not_the_first_use_of_a_secret():
    """The first use is the first good answer. Until then the old secret goes on."""
    async with InMemoryServer() as server:
        issuer, old = server.app.issuer, await server.create_key()
        now, key_id = server.clock(), key_id_of(old)
        new = await issuer.ledger.run(
            lambda store: rotate_key(
                store, issuer.secrets, key_id, now, overlap=0, random=os.urandom, actor=Actor("test")
            )
        )
        await issuer.ledger.run(lambda store: store._run_script(FULL))

        with pytest.raises(Exception, match="full"):
            await server.exchange(new.api_key)

        await issuer.ledger.run(lambda store: store._run_script("drop trigger nothing_is_kept"))
        await server.exchange(old)
        await server.exchange(new.api_key)
        with pytest.raises(InvalidCredentials):
            await server.exchange(old)


FULL = "create trigger nothing_is_kept before insert on grants begin select raise(abort, 'full'); end"
