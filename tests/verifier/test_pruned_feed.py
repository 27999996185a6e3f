"""The feed of a real server over pruning and restarts: SQLite forgets the newest row, and no verifier may notice.

The newest number in the server's database falls to 0 then. No number is given twice all the same.
"""

import contextlib
import json

import pytest

from hourpass.core.actor import Actor
from hourpass.core.policy import HOUR, LEEWAY, SECOND
from hourpass.jose import decode_segment
from hourpass.server.keys.api_keys import revoke_key
from hourpass.testing import START, Clock, InMemoryServer
from hourpass.verifier import fail_closed
from hourpass.verifier.jwks import JwkSet
from hourpass.verifier.revocations import RevocationList
from hourpass.verifier.upkeep import Answer

pytestmark = pytest.mark.anyio

ISSUER = "http://127.0.0.1:3600"


class Follower:
    """A verifier's list, which polls the application itself, so that nothing waits for anything."""

    def __init__(self) -> None:
        self.jwks = JwkSet(f"{ISSUER}/.well-known/jwks.json", lambda: 0.0)
        self.list = RevocationList(f"{ISSUER}/auth/revocations", ISSUER, self.jwks, lambda: 0.0, fail_closed())

    async def poll(self, server: InMemoryServer) -> int:
        """How many entries the answer had."""
        now, issuer = server.clock(), server.app.issuer
        self.jwks.keys = {key.header: key for key in issuer.verification.signing_keys.verification_keys(now).values()}
        query = self.list.begin(now).url.partition("?")[2].rpartition("&wait=")[0]
        status, _, body = await issuer.verification.answer(query.encode(), now)
        self.list.finish(Answer(status, {}, body), now, now)
        return len(json.loads(decode_segment(body.split(b".")[1]))["entries"])

    @property
    def trouble(self) -> str:
        return self.list.problem


@pytest.fixture
def clock():
    return Clock(START)


@pytest.fixture
def start(tmp_path, clock):
    """Starts a server on the same data folder."""

    @contextlib.asynccontextmanager
    async def start():
        async with InMemoryServer(clock, data=str(tmp_path), database_url=None, issuer=ISSUER) as server:
            yield server

    return start


async def revoke_one(server: InMemoryServer) -> None:
    """By a command in another process: the server learns of it by the numbers that it polls."""
    key_id = (await server.create_key()).split("_")[2]
    issuer, now = server.app.issuer, server.clock()
    await issuer.ledger.run(lambda store: revoke_key(store, key_id, now, issuer.policy, Actor("cli:ada")))
    await issuer.verification.observe(now)


async def prune_all(server: InMemoryServer) -> None:
    """An hour later every entry is over, and the table is empty."""
    server.clock.advance((HOUR + LEEWAY) / SECOND)
    issuer = server.app.issuer
    await issuer.verification.observe(server.clock())
    await issuer.pruning.prune(("", b""), server.clock())
    assert (await issuer.ledger.observe()).last_revocation == 0


async def test_after_pruning_each_new_entry_comes_once_and_none_again(start):
    follower = Follower()
    async with start() as server:
        for _ in range(3):
            await revoke_one(server)
        assert await follower.poll(server) == 3

        await prune_all(server)
        assert await follower.poll(server) == 0
        await revoke_one(server)

        assert (await follower.poll(server), len(follower.list.revocations)) == (1, 1)
        server.clock.advance(1)
        assert (await follower.poll(server), follower.trouble) == (0, "")


async def test_a_server_that_starts_with_a_pruned_table_is_followed_without_a_gap(start, clock):
    follower = Follower()
    async with start() as server:
        for _ in range(3):
            await revoke_one(server)
        await follower.poll(server)
        await prune_all(server)
    clock.advance(1)

    async with start() as server:
        assert (await follower.poll(server), follower.trouble, follower.list.state(clock())) == (0, "", "fresh")
        await revoke_one(server)
        assert server.app.issuer.verification._feed.last == 4, "a number is never given twice"

        assert (await follower.poll(server), len(follower.list.revocations)) == (1, 1)
        clock.advance(1)
        assert (await follower.poll(server), follower.trouble, follower.list.state(clock())) == (0, "", "fresh")


async def test_a_revocation_made_while_no_server_ran_is_told_after_the_start(start, clock):
    follower = Follower()
    async with start() as server:
        await revoke_one(server)
        await follower.poll(server)
        await prune_all(server)
        key_id = (await server.create_key()).split("_")[2]
        issuer = server.app.issuer
        await issuer.ledger.run(lambda store: revoke_key(store, key_id, clock(), issuer.policy, Actor("cli:ada")))
    clock.advance(1)

    async with start() as server:
        assert (await follower.poll(server), follower.trouble, len(follower.list.revocations)) == (1, "", 1)
