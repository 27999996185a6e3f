"""The use cases while other processes work on the same database, and while many callers ask for the same at once."""

import asyncio
from pathlib import Path

import pytest
from tests.server.conftest import claims_of, key_id_of

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidCredentials, InvalidGrant, InvalidToken, StorageUnavailable
from hourpass.server.issuing.revoke_introspect import revoke
from hourpass.server.keys.api_keys import create_key, get_grant, revoke_grant, revoke_key, revoke_token
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hourpass.db"


@pytest.fixture
async def server(start, path):
    """A server on a file. It looks up what others changed when the test says so: `await server.later(0)`."""
    return await start(database_url=f"sqlite:{path}")


@pytest.fixture
async def second(server, start, path):
    """A second server on the same database, under the same master key."""
    master_key = Path(server.settings.data, "master.key").read_text()
    return await start(database_url=f"sqlite:{path}", master_key=master_key)


@pytest.fixture
def command(server, path):
    """Work in a transaction of its own on the same file, as a command in another process does it."""
    store = SqliteStore(path)

    def run(work, *arguments, **members):
        with transaction(store):
            return work(store, *arguments, **members)

    yield run
    store.close()


def generation(refresh_token: bytes | str) -> int:
    return claims_of(refresh_token)["gen"]


def problem_with(server, access_token: bytes | str) -> str | None:
    """The word that an API would answer, None if it would let the token pass."""
    try:
        server.app.issuer.verification.verify(
            access_token if isinstance(access_token, bytes) else access_token.encode(), server.clock()
        )
    except InvalidToken as error:
        return error.problem
    return None


async def test_refreshes_at_once_with_one_token_all_get_the_same_successor(server):
    _, token = await server.tokens()

    pairs = await asyncio.gather(*(server.refresh(token) for _ in range(64)))

    assert {generation(pair.refresh_token) for pair in pairs} == {1}
    assert len({pair.access_token for pair in pairs}) == 64
    assert generation((await server.refresh(pairs[0].refresh_token)).refresh_token) == 2


async def test_two_servers_on_one_database_share_one_lineage(server, second):
    """Winners and losers of a race all get generation n, whichever server answered them."""
    _, token = await server.tokens()

    pairs = await asyncio.gather(*(one.refresh(token) for _ in range(32) for one in (server, second)))

    assert {generation(pair.refresh_token) for pair in pairs} == {1}
    onward = await asyncio.gather(server.refresh(pairs[0].refresh_token), second.refresh(pairs[-1].refresh_token))
    assert {generation(pair.refresh_token) for pair in onward} == {2}


async def test_a_key_made_by_a_command_works_at_once(server, command):
    new = command(
        create_key, server.app.issuer.secrets.pepper, name="n", now=0, random=bytes_of(9), actor=Actor("test")
    )

    assert await server.exchange(new.api_key)


async def test_a_key_revoked_by_a_command_opens_no_grant_any_more_although_it_is_remembered(server, command):
    api_key = await server.create_key()
    await server.exchange(api_key)
    command(revoke_key, key_id_of(api_key), server.clock(), server.settings.policy(), Actor("test"))

    with pytest.raises(InvalidCredentials):
        await server.exchange(api_key)


async def test_no_exchange_that_races_with_the_end_of_its_key_succeeds_after_it(server, command):
    """Proven before the end, opened after it: the transaction that opens the grant looks again."""
    api_key = await server.create_key()
    await server.exchange(api_key)
    racing = [asyncio.ensure_future(server.exchange(api_key)) for _ in range(8)]
    await asyncio.sleep(0)
    command(revoke_key, key_id_of(api_key), server.clock(), server.settings.policy(), Actor("test"))

    outcomes = await asyncio.gather(*racing, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {InvalidCredentials}


ENDS = {
    "the key": lambda store, claims, now, policy: revoke_key(store, claims.client_id, now, policy, Actor("test")),
    "the grant": lambda store, claims, now, policy: revoke_grant(
        store, get_grant(store, claims.sid), now, policy, actor=Actor("test")
    ),
    "the token": lambda store, claims, now, policy: revoke_token(store, claims, now, actor=Actor("test")),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_revocation_by_a_command_takes_effect_at_the_next_look(server, command, end):
    access_token, _ = await server.tokens()
    claims = server.app.issuer.verification.verify(access_token.encode(), server.clock())
    command(end, claims, server.clock(), server.settings.policy())

    assert problem_with(server, access_token) is None
    await server.later(0)
    assert problem_with(server, access_token) == "revoked"


@pytest.mark.parametrize("own", ["revoked token", "revoked grant", "replay"])
async def test_a_revocation_by_a_command_is_not_missed_when_the_server_revokes_something_itself(server, command, own):
    """The entries are numbered: one of our own must not make us believe that we have seen those before it."""
    theirs, _ = await server.tokens()
    mine = await server.exchange(await server.create_key())
    await server.refresh(mine.refresh_token)
    await server.later(61)
    claims = server.app.issuer.verification.verify(theirs.encode(), server.clock())
    command(revoke_key, claims.client_id, server.clock(), server.settings.policy(), Actor("test"))

    match own:
        case "revoked token":
            await revoke(server.app.issuer, mine.access_token.decode(), server.clock())
        case "revoked grant":
            fresh = await server.exchange(await server.create_key())
            await revoke(server.app.issuer, fresh.refresh_token.decode(), server.clock())
        case "replay":
            with pytest.raises(InvalidGrant, match="replayed"):
                await server.refresh(mine.refresh_token)
    await server.later(0)

    assert problem_with(server, theirs) == "revoked"


async def test_a_revocation_by_one_server_is_seen_by_the_other(server, second):
    access_token, refresh_token = await server.tokens()
    await revoke(server.app.issuer, refresh_token, server.clock())

    await second.later(0)

    assert problem_with(second, access_token) == "revoked"
    with pytest.raises(InvalidGrant, match="revoked"):
        await second.refresh(refresh_token)


async def test_a_grant_whose_revocation_was_acknowledged_never_rotates_again_in_any_race(server):
    """contract.md, promise 4."""
    _, token = await server.tokens()
    acknowledged = asyncio.Event()

    async def end():
        await revoke(server.app.issuer, token, server.clock())
        acknowledged.set()

    async def refresh():
        late = acknowledged.is_set()
        (outcome,) = await asyncio.gather(server.refresh(token), return_exceptions=True)
        return late, outcome

    outcomes = await asyncio.gather(*(refresh() for _ in range(8)), end(), *(refresh() for _ in range(8)))
    outcomes = [outcome for outcome in outcomes if outcome is not None] + [await refresh()]

    for late, outcome in outcomes:
        if isinstance(outcome, InvalidGrant):
            assert outcome.reason == "revoked"
            continue
        assert not late
        assert problem_with(server, outcome.access_token) == "revoked"
        with pytest.raises(InvalidGrant, match="revoked"):
            await server.refresh(outcome.refresh_token)
    assert isinstance(outcomes[-1][1], InvalidGrant)


async def test_a_client_that_leaves_before_its_answer_retries_with_what_it_has(server):
    """contract.md, promise 3."""
    _, token = await server.tokens()
    leaving = asyncio.ensure_future(server.refresh(token))
    await asyncio.sleep(0)
    leaving.cancel()

    assert generation((await server.refresh(token)).refresh_token) == 1


async def test_a_replay_whose_caller_has_left_still_ends_the_grant(server):
    pair = await server.exchange(await server.create_key())
    newer = await server.refresh(pair.refresh_token)
    await server.later(61)
    leaving = asyncio.ensure_future(server.refresh(pair.refresh_token))
    await asyncio.sleep(0)
    leaving.cancel()

    with pytest.raises(InvalidGrant, match="replayed"):
        await server.refresh(newer.refresh_token)
    await server.later(0)
    assert problem_with(server, newer.access_token) == "revoked"


async def test_a_locked_database_harms_no_token(server, path):
    """contract.md, promise 3: the same token works once the database does. This takes as long as the store waits."""
    _, token = await server.tokens()
    locker = SqliteStore(path)
    locker.begin(wait=True)

    with pytest.raises(StorageUnavailable):
        await server.refresh(token)

    locker.close()
    assert generation((await server.refresh(token)).refresh_token) == 1


def bytes_of(number: int):
    return lambda size: bytes([number]) * size
