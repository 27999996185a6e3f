"""Those who follow the revocation feed miss nothing when the server they follow moves to a copy."""

import pytest
from tests.copy.test_moving import Move

from hourpass.core.policy import SECOND
from hourpass.jose import VerificationKey
from hourpass.verifier import fail_closed
from hourpass.verifier.jwks import JwkSet
from hourpass.verifier.revocations import RevocationList
from hourpass.verifier.upkeep import Answer

pytestmark = pytest.mark.anyio


class Follower:
    """A resource server's list of revocations, fed by whichever server it is pointed to."""

    def __init__(self, clock, keys: list[VerificationKey]) -> None:
        jwks = JwkSet("http://hourpass.test/jwks", lambda: 0.0)
        jwks.keys = {key.header: key for key in keys}
        self._clock = clock
        self._list = RevocationList("", "http://hourpass.test", jwks, lambda: 0.0, fail_closed())

    async def ask(self, desk) -> None:
        """One poll, which must be believed and have waited for nothing."""
        query = self._list.begin(self._clock()).url.removeprefix("?")
        answer = await desk.issuer.verification.answer(query.encode(), self._clock())
        self._list.finish(Answer(answer.status, {}, answer.body), self._clock(), self._clock())
        assert self._list.problem == ""
        self._clock.advance(1)

    async def follow(self, desk) -> None:
        """Ask until nothing is due at once."""
        await self.ask(desk)
        while self._list._snapshot_due:
            await self.ask(desk)

    def knows(self, pair, desk) -> bool:
        claims = desk.issuer.verification.verify(pair.access_token, self._clock())
        return self._list.revocations.refuses(claims)


def keys_of(desk) -> list[VerificationKey]:
    return list(desk.issuer.verification.signing_keys.verification_keys(desk._clock()).values())


@pytest.fixture
def move(pair, tmp_path):
    return Move(pair, tmp_path)


async def revoked_key(desk) -> str:
    """Revoke a key, and return its id."""
    key = (await desk.create_key()).key
    await desk.revoke_key(key.key_id)
    return key.key_id


def known_keys(follower) -> set[str]:
    return set(follower._list.revocations._keys)


async def test_a_revocation_on_the_copy_reaches_a_reader_that_knew_all_of_the_original(move):
    async with move.old() as old:
        follower = Follower(move.clock, keys_of(old))
        before = {await revoked_key(old), await revoked_key(old)}
        await follower.follow(old)
        assert known_keys(follower) == before
    move.copy()
    move.clock.advance(2)
    async with move.new() as new:
        after = await revoked_key(new)
        await follower.follow(new)

        assert known_keys(follower) == before | {after}


async def test_a_number_that_the_original_gave_after_the_copy_hides_nothing_of_the_copys(move):
    """The restored backup: two different revocations have the same number, and both are in force."""
    async with move.old() as old:
        follower = Follower(move.clock, keys_of(old))
        before = await revoked_key(old)
        move.copy()
        lost = await revoked_key(old)
        await follower.follow(old)
    move.clock.advance(2)
    async with move.new() as new:
        after = await revoked_key(new)
        assert new.issuer.verification._feed.last == 2
        await follower.follow(new)

        assert known_keys(follower) == {before, lost, after}


async def test_a_copy_that_knows_fewer_numbers_is_not_a_rollback(move):
    """A follower that took it for one would refuse every token once its budget is spent."""
    async with move.old() as old:
        follower = Follower(move.clock, keys_of(old))
        move.copy()
        for _ in range(3):
            await revoked_key(old)
        await follower.follow(old)
    move.clock.advance(2)
    async with move.new() as new:
        await follower.follow(new)

        assert new.issuer.verification._feed.last == 0
        assert follower._list.state(move.clock() - SECOND) == "fresh"
