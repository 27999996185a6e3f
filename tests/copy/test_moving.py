"""A server starts on the copy of another one's database: clients stay authenticated, and every end stays in force."""

import json
import os
from contextlib import asynccontextmanager

import pytest
from tests.copy.conftest import MASTER
from tests.postgres.conftest import LocalNode

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidGrant, InvalidToken
from hourpass.core.policy import Policy
from hourpass.core.token_request import TokenRequest
from hourpass.jose import decode_segment
from hourpass.server.copy import copy
from hourpass.server.issuing.minting import TokenPair
from hourpass.server.issuing.revoke_introspect import revoke
from hourpass.server.keys.api_keys import create_key, revoke_key
from hourpass.testing import Clock

pytestmark = pytest.mark.anyio

WINDOW = 60


class Desk:
    """A server on one database, as a client and an operator see it."""

    def __init__(self, node: LocalNode, clock: Clock) -> None:
        self.issuer = node.app.issuer
        self._clock = clock

    async def create_key(self):
        issuer, now = self.issuer, self._clock()
        return await issuer.ledger.run(
            lambda store: create_key(
                store, issuer.secrets.pepper, name="x", now=now, random=os.urandom, actor=Actor("test")
            )
        )

    async def revoke_key(self, key_id: str) -> None:
        now = self._clock()
        await self.issuer.ledger.run(lambda store: revoke_key(store, key_id, now, Policy(), Actor("test")))
        await self.issuer.verification.observe(now)

    async def exchange(self, api_key: str) -> TokenPair:
        return await self.issuer.exchange(api_key, TokenRequest(), None, self._clock())

    async def refresh(self, pair: TokenPair) -> TokenPair:
        return await self.issuer.refresh(pair.refresh_token.decode(), TokenRequest(), None, self._clock())

    async def revoke(self, token: bytes) -> None:
        await revoke(self.issuer, token.decode(), self._clock())
        await self.issuer.verification.observe(self._clock())

    def verify(self, pair: TokenPair) -> str:
        return self.issuer.verification.verify(pair.access_token, self._clock()).sid


class Move:
    """A database with a server on it, then a copy of it with another one."""

    def __init__(self, pair, folder) -> None:
        self._pair = pair
        self._folder = folder
        self.clock = Clock()

    @asynccontextmanager
    async def _serving(self, database, name: str):
        node = LocalNode(database.url, self._folder / name, self.clock)
        await node.app.start()
        await node.running.background.stop()
        try:
            yield Desk(node, self.clock)
        finally:
            await node.app.stop()

    def old(self):
        return self._serving(self._pair.source, "old")

    def new(self):
        return self._serving(self._pair.target, "new")

    def copy(self) -> None:
        copy(self._pair.source.open(), self._pair.target.open(), self.clock(), master=MASTER)


@pytest.fixture
def move(pair, tmp_path):
    return Move(pair, tmp_path)


def generation(pair: TokenPair) -> int:
    return json.loads(decode_segment(pair.refresh_token.split(b".")[1]))["gen"]


async def test_a_refresh_token_goes_on_with_its_next_generation(move):
    async with move.old() as old:
        key = await old.create_key()
        second = await old.refresh(await old.refresh(await old.exchange(key.api_key)))
    move.copy()
    async with move.new() as new:
        third = await new.refresh(second)

        assert (generation(second), generation(third)) == (2, 3)
        assert new.verify(third) == new.verify(second)
        assert new.verify(await new.exchange(key.api_key))


async def test_an_answer_that_was_lost_just_before_is_retried(move):
    async with move.old() as old:
        first = await old.exchange((await old.create_key()).api_key)
        await old.refresh(first)
    move.copy()
    move.clock.advance(WINDOW)
    async with move.new() as new:
        assert generation(await new.refresh(first)) == 1


async def test_a_replay_is_one_there_too(move):
    """contract.md, promise 2: the ring of superseded generations is part of the grant."""
    async with move.old() as old:
        first = await old.exchange((await old.create_key()).api_key)
        second = await old.refresh(first)
    move.copy()
    move.clock.advance(WINDOW + 1)
    async with move.new() as new:
        for pair in (first, second):
            with pytest.raises(InvalidGrant) as refused:
                await new.refresh(pair)
            assert refused.value.reason == "replayed"


async def test_every_revocation_survives_the_move(move):
    async with move.old() as old:
        key, other = await old.create_key(), await old.create_key()
        by_key, by_token = await old.exchange(key.api_key), await old.exchange(other.api_key)
        by_grant = await old.exchange(other.api_key)
        await old.revoke_key(key.key.key_id)
        await old.revoke(by_token.access_token)
        await old.revoke(by_grant.refresh_token)
    move.copy()
    async with move.new() as new:
        for pair in (by_key, by_token, by_grant):
            with pytest.raises(InvalidToken, match="revoked"):
                new.verify(pair)
        for pair in (by_key, by_grant):
            with pytest.raises(InvalidGrant):
                await new.refresh(pair)
        assert generation(await new.refresh(by_token)) == 1


async def test_a_client_that_refreshed_after_the_copy_is_told_ahead_and_not_treated_as_a_thief(move):
    """The same holds for a backup that was restored: what happened since is forgotten, and nobody is revoked for it."""
    async with move.old() as old:
        key = await old.create_key()
        first = await old.exchange(key.api_key)
        move.copy()
        second = await old.refresh(first)
    async with move.new() as new:
        with pytest.raises(InvalidGrant) as refused:
            await new.refresh(second)

        assert refused.value.reason == "ahead"
        assert generation(await new.refresh(first)) == 1
        assert new.verify(await new.exchange(key.api_key))
