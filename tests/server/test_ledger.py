"""Group commit, on the real store on a real file: one transaction for many, each answered after it."""

import asyncio
import os

import apsw
import pytest

from hourpass.core.api_key import ApiKey
from hourpass.core.errors import InvalidCredentials, StorageUnavailable
from hourpass.core.grant import Dead, Retry, Rotate, decide_refresh, generation_tag, open_grant
from hourpass.core.policy import Policy
from hourpass.server.ledger import Ledger, Refreshing
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore

NOW = 1_800_000_000_000
KEY = ApiKey("vLN4aeuHv8ZP", "test", b"d" * 32, "s", "a b", "production", None, None, (), NOW)


class CountingStore(SqliteStore):
    """The real store, which counts its commits, and may be told to fail one or to let another node come first."""

    commits = 0
    full = False
    another_node = None

    def commit(self):
        if self.full:
            raise StorageUnavailable("full")
        self.commits += 1
        super().commit()

    def save_rotations(self, rotations):
        if self.another_node is not None:
            node, self.another_node = self.another_node, None
            node()
        return super().save_rotations(rotations)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def store(path):
    store = CountingStore(path)
    store.migrate(NOW)
    with transaction(store):
        store.add_key(KEY)
    yield store
    store.close()


@pytest.fixture
async def ledger(store):
    ledger = Ledger(store, Policy(), queue_limit=100)
    yield ledger
    await ledger.close()


def new_grant():
    return open_grant(
        grant_id=os.urandom(16), seed=os.urandom(16), key_id=KEY.key_id, scope=None, now=NOW, policy=Policy()
    )


def refreshing(grant, generation=0, now=NOW + 1):
    return Refreshing(grant.ref, generation, generation_tag(grant.seed, generation), None, now)


def same(answer):
    return answer


@pytest.mark.anyio
async def test_what_waits_together_is_one_transaction(store, ledger):
    before = store.commits

    await asyncio.gather(*(ledger.open(new_grant(), NOW, same) for _ in range(64)))

    assert store.commits == before + 1


@pytest.mark.anyio
async def test_64_refreshes_of_one_grant_are_one_rotation_and_63_retries(ledger):
    grant = new_grant()
    await ledger.open(grant, NOW, same)

    answers = await asyncio.gather(*(ledger.refresh(refreshing(grant), same) for _ in range(64)))

    kinds = [type(answer.decision) for answer in answers]
    assert (kinds.count(Rotate), kinds.count(Retry)) == (1, 63)
    assert {answer.decision.grant.generation for answer in answers} == {1}


@pytest.mark.anyio
async def test_a_commit_that_fails_fails_all_of_its_callers_and_keeps_nothing(store, ledger):
    grants = [new_grant() for _ in range(3)]
    store.full = True
    outcomes = await asyncio.gather(*(ledger.open(grant, NOW, same) for grant in grants), return_exceptions=True)
    store.full = False

    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert await ledger.read(lambda store: store.grants([grant.ref for grant in grants])) == {}
    assert await ledger.open(grants[0], NOW, same)


@pytest.mark.anyio
async def test_a_key_revoked_by_another_process_counts_in_the_very_next_transaction(path, ledger):
    grant = new_grant()
    await ledger.open(grant, NOW, same)
    other = SqliteStore(path)
    with transaction(other):
        other.revoke_key(KEY.key_id, NOW)
    other.close()

    with pytest.raises(InvalidCredentials):
        await ledger.open(new_grant(), NOW + 1, same)
    assert (await ledger.refresh(refreshing(grant), same)).decision == Dead("key_disabled")


@pytest.mark.anyio
async def test_who_loses_a_race_against_another_node_is_decided_again(store, ledger):
    """The conditional update finds the row moved on; read again, the same token is a retry."""
    grant = new_grant()
    await ledger.open(grant, NOW, same)
    moved = decide_refresh(grant, 0, NOW + 1, Policy()).grant
    store.another_node = lambda: SqliteStore.save_rotations(store, [(0, moved)])

    answer = await ledger.refresh(refreshing(grant), same)

    assert answer.decision == Retry(moved)


@pytest.mark.anyio
async def test_a_writer_elsewhere_is_waited_for(path, ledger):
    other = apsw.Connection(str(path))
    other.execute("begin immediate")
    waiting = asyncio.ensure_future(ledger.open(new_grant(), NOW, same))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    other.execute("rollback")
    other.close()

    assert (await waiting).closed == 0


@pytest.mark.anyio
async def test_a_full_queue_says_so_at_once(ledger):
    outcomes = await asyncio.gather(*(ledger.open(new_grant(), NOW, same) for _ in range(101)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes].count(StorageUnavailable) == 1


@pytest.mark.anyio
async def test_closing_finishes_what_waits_and_takes_no_more(store):
    ledger = Ledger(store, Policy())
    waiting = asyncio.ensure_future(ledger.open(new_grant(), NOW, same))
    await asyncio.sleep(0)

    await ledger.close()

    assert waiting.done()
    with pytest.raises(StorageUnavailable):
        await ledger.open(new_grant(), NOW, same)


@pytest.mark.anyio
async def test_a_caller_that_leaves_disturbs_nobody(ledger):
    leaving = asyncio.ensure_future(ledger.open(new_grant(), NOW, same))
    staying = asyncio.ensure_future(ledger.open(new_grant(), NOW, same))
    await asyncio.sleep(0)
    leaving.cancel()

    assert (await staying).key == KEY
