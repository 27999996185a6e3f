"""Group commit: many callers, one transaction, each answered after the commit, and none harmed by another."""

import asyncio
import threading

import pytest
from tests.contract.conftest import SqliteOnFile
from tests.contract.desk import nothing, open_desk

from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Retry, Rotate
from hourpass.server.ledger.asking import Refreshed
from hourpass.server.ledger.ledger import BATCH_LIMIT
from hourpass.testing import START as NOW

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(request, tmp_path):
    database = SqliteOnFile(tmp_path, request.config)
    yield database
    database.close()


@pytest.fixture
async def desk(database):
    async with open_desk(database) as desk:
        yield desk


async def rounds(count: int = 20) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def outcomes(futures) -> list[type]:
    """The outcome of each caller: the type of an answer or of an error."""
    return [type(outcome) for outcome in await asyncio.gather(*futures, return_exceptions=True)]


# One transaction, and nobody is answered before it is durable.


async def test_the_work_of_one_turn_of_the_loop_is_one_transaction(desk):
    grants = [desk.grant(number) for number in range(50)]

    refreshed = await asyncio.gather(*(desk.refresh(grant) for grant in grants), desk.open(desk.new_grant(99)))

    assert desk.store.seen["commits"] == 1
    assert [answer.decision.grant.ref for answer in refreshed[:-1]] == [grant.ref for grant in grants]
    assert desk.row(desk.new_grant(99)) is not None


async def test_the_work_that_comes_during_a_commit_is_the_next_transaction(desk):
    first, *later = [desk.grant(number) for number in range(20)]
    under_way, go_on = threading.Event(), threading.Event()
    desk.store.before_commit = lambda: (under_way.set(), go_on.wait(5))
    waiting = [desk.refresh(first)]
    await asyncio.to_thread(under_way.wait, 5)

    waiting += [desk.refresh(grant) for grant in later]
    await rounds()
    go_on.set()
    await asyncio.gather(*waiting)

    assert desk.store.seen["commits"] == 2


async def test_a_transaction_is_bounded_however_many_wait(desk):
    """Its statements hold the event loop."""
    grants = [desk.new_grant(number) for number in range(BATCH_LIMIT + 1)]

    await asyncio.gather(*map(desk.open, grants))

    assert desk.store.seen["commits"] == 2


async def test_nobody_is_answered_before_the_commit(desk):
    """contract.md, promise 3."""
    grant = desk.grant()
    under_way, go_on = threading.Event(), threading.Event()
    desk.store.before_commit = lambda: (under_way.set(), go_on.wait(5))
    waiting = [desk.refresh(grant), desk.open(desk.new_grant(2))]
    await asyncio.to_thread(under_way.wait, 5)
    await rounds()

    assert not any(future.done() for future in waiting)
    assert (desk.row(grant).generation, desk.row(desk.new_grant(2))) == (0, None)
    go_on.set()
    await asyncio.gather(*waiting)
    assert desk.row(grant).generation == 1


@pytest.mark.parametrize("error", [StorageUnavailable("disk full"), RuntimeError("a bug")], ids=repr)
@pytest.mark.parametrize("moment", ["before_commit", "before_save"])
async def test_a_transaction_that_fails_fails_for_all_and_keeps_nothing(desk, moment, error):
    grants = [desk.grant(number) for number in range(4)]

    def fail(*_):
        raise error

    setattr(desk.store, moment, fail)
    got = await outcomes([*map(desk.refresh, grants), desk.open(desk.new_grant(9))])

    assert got == [type(error)] * 5
    assert [desk.row(grant).generation for grant in grants] == [0] * 4
    assert desk.row(desk.new_grant(9)) is None
    setattr(desk.store, moment, nothing)
    assert isinstance((await desk.refresh(grants[0])).decision, Rotate)


async def test_a_caller_whose_answer_cannot_be_made_is_told_so_alone(desk):
    def fail(answer):
        raise LookupError

    got = await outcomes([desk.refresh(desk.grant(1), finish=fail), desk.refresh(desk.grant(2))])

    assert got[0] is LookupError
    assert got[1] is not LookupError


async def test_a_caller_who_leaves_disturbs_nobody_and_finds_a_retry_later(desk):
    """contract.md, promise 3: a lost response becomes a retry."""
    grants = [desk.grant(number) for number in range(3)]
    waiting = [desk.refresh(grant) for grant in grants]
    waiting[1].cancel()

    assert [isinstance((await waiting[n]).decision, Rotate) for n in (0, 2)] == [True, True]
    retried = (await desk.refresh(grants[1])).decision
    assert isinstance(retried, Retry)
    assert retried.grant.generation == desk.row(grants[1]).generation == 1


# A database that another process holds.


async def test_a_busy_database_is_waited_for(desk):
    grant = desk.grant()
    desk.lock()
    desk.store.before_waiting = desk.other.commit

    assert isinstance((await desk.refresh(grant)).decision, Rotate)
    assert desk.store.seen == {"tried": 1, "waited": 1, "rotations": 1, "commits": 1}


async def test_a_busy_database_that_does_not_become_free_is_unavailable_to_all_and_then_free_again(desk):
    """contract.md, promise 3. This takes as long as the store is ready to wait."""
    grants = [desk.grant(number) for number in range(3)]
    desk.lock()

    assert await outcomes(map(desk.refresh, grants)) == [StorageUnavailable] * 3
    assert desk.store.seen == {"tried": 1, "waited": 1}
    desk.other.rollback()
    assert isinstance((await desk.refresh(grants[0])).decision, Rotate)


async def test_a_busy_database_is_read_all_the_same(desk):
    desk.lock()

    assert (await desk.ledger.read(lambda store: store.key(desk.key.key_id))) == desk.key
    assert (await desk.ledger.observe()).version > 0


async def test_writers_that_time_out_hold_up_a_reader_once_and_not_each(desk):
    """Looking up revocations is such a reader: eight waits of two seconds would spend its whole staleness budget."""

    def in_vain():
        raise StorageUnavailable("locked")

    desk.store.before_waiting = in_vain
    desk.lock()
    writers = [desk.ledger.run(lambda store: store.prune_revocations(NOW)) for _ in range(8)]
    await desk.ledger.read(lambda store: store.control())

    waits_before_the_reader = desk.store.seen["waited"]
    assert await outcomes(writers) == [StorageUnavailable] * 8
    assert waits_before_the_reader <= 1


# Work of other kinds.


async def test_work_that_fails_undoes_its_own_transaction_and_no_other(desk):
    def fail(store):
        store.add_grants([desk.new_grant(1)])
        raise LookupError

    good = desk.ledger.run(lambda store: store.add_grants([desk.new_grant(2)]))
    assert await outcomes([desk.ledger.run(fail), good]) == [LookupError, type(None)]
    assert desk.row(desk.new_grant(1)) is None
    assert desk.row(desk.new_grant(2)) is not None


async def test_a_stream_of_reads_does_not_keep_a_refresh_waiting(desk):
    """A guessed API key costs a read: strangers who try one after another must not stop everybody's refreshing."""
    waiting = desk.refresh(desk.grant())

    for _ in range(50):
        await desk.ledger.read(lambda store: store.control())

    assert waiting.done()


async def test_a_stream_of_refreshes_does_not_keep_a_read_waiting(desk):
    grants = [desk.grant(number) for number in range(50)]
    waiting = desk.ledger.read(lambda store: store.control())

    for grant in grants:
        await desk.refresh(grant)
        if waiting.done():
            break

    assert waiting.done()


# Bounds, and the end.


async def test_more_than_the_queue_holds_is_refused_at_once_and_the_others_are_served(database):
    async with open_desk(database, queue_limit=3) as desk:
        grants = [desk.grant(number) for number in range(4)]
        waiting = [desk.refresh(grant) for grant in grants]

        assert [future.done() for future in waiting] == [False, False, False, True]
        assert await outcomes(waiting) == [Refreshed, Refreshed, Refreshed, StorageUnavailable]
        assert isinstance((await desk.refresh(grants[3])).decision, Rotate)


async def test_work_of_other_kinds_has_a_bound_of_its_own(database):
    async with open_desk(database, queue_limit=3) as desk:
        waiting = [desk.ledger.read(lambda store: store.control().last_audit) for _ in range(4)]

        assert await outcomes(waiting) == [int, int, int, StorageUnavailable]


async def test_closing_finishes_the_waiting_work_and_takes_nothing_more(desk):
    grants = [desk.grant(number) for number in range(BATCH_LIMIT + 10)]
    waiting = [*map(desk.refresh, grants), desk.ledger.run(lambda store: store.prune_revocations(NOW))]

    await desk.ledger.close()

    assert await outcomes(waiting) == [Refreshed] * len(grants) + [type(None)]
    assert [desk.row(grant).generation for grant in grants] == [1] * len(grants)
    late = [desk.refresh(grants[0]), desk.ledger.read(lambda store: store.control())]
    assert await outcomes(late) == [StorageUnavailable] * 2


async def test_closing_ends_the_thread(database):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "hourpass-ledger"]

    async with open_desk(database):
        assert len(threads()) == 1
    assert threads() == []
