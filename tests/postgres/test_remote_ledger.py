"""The ledger on a store over a network: it never blocks the loop, and batches that overlap do not hurt each other."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from tests.contract.conftest import make_grant
from tests.contract.desk import POLICY, Desk, Witness, nothing
from tests.postgres.conftest import NOW

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidCredentials, StorageUnavailable
from hourpass.core.grant import Dead, Retry, Rotate
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.ledger.asking import Refreshed
from hourpass.server.ledger.ledger import BATCH_LIMIT, Ledger
from hourpass.server.store import transaction
from hourpass.server.store.connection import TransactionConflict, Unreachable

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def two_lanes(database, **options):
    """A ledger with two connections beside a desk, whose own ledger is not used."""
    desk = Desk(database, 10)
    await desk.ledger.close()
    desk.ledger = Ledger(desk.store, POLICY, remote=True, others=[database.connect()], **options)
    yield desk
    desk.other.rollback()
    await desk.ledger.close()


@pytest.fixture
async def desk(database):
    async with two_lanes(database) as desk:
        yield desk


async def outcomes(futures) -> list[type]:
    return [type(outcome) for outcome in await asyncio.gather(*futures, return_exceptions=True)]


def hold_all(desk):
    """Somebody holds the whole table: every batch waits for it."""
    desk.other.begin(wait=False)
    desk.other._execute("lock table grants in access exclusive mode")


async def test_while_a_batch_waits_for_the_database_the_loop_goes_on(desk):
    grant = desk.grant()
    hold_all(desk)
    waiting = desk.refresh(grant)
    began = time.monotonic()
    longest = 0.0
    for _ in range(20):
        before = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - before)

    assert not waiting.done()
    assert longest < (time.monotonic() - began) / 2
    desk.other.rollback()
    assert isinstance((await waiting).decision, Rotate)


async def test_while_one_batch_waits_another_goes_on_beside_it(desk):
    grant = desk.grant()
    waiting = desk.ledger.run(lambda store: store._execute("select pg_sleep(0.5)"))
    await asyncio.sleep(0.05)

    assert isinstance((await desk.refresh(grant)).decision, Rotate)
    assert not waiting.done()
    await waiting


async def test_no_more_batches_are_under_way_than_there_are_connections(database, desk):
    grants = [desk.grant(number) for number in range(3)]
    hold_all(desk)
    waiting = []
    for grant in grants:
        waiting.append(desk.refresh(grant))
        await asyncio.sleep(0.03)

    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    assert database.run(waits) == [(2,)]
    desk.other.rollback()
    assert await outcomes(waiting) == [Refreshed] * 3


async def test_one_grant_in_two_batches_at_once_is_one_rotation_and_a_retry(desk):
    """contract.md, promise 1: the loser of the compare-and-swap decides again."""
    grant = desk.grant()
    for generation in range(8):
        first = desk.refresh(grant, generation)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first is in a thread by now
        second = desk.refresh(grant, generation)
        decided = [answer.decision for answer in await asyncio.gather(first, second)]

        assert {decision.grant.generation for decision in decided} == {generation + 1}
        assert sorted(type(decision).__name__ for decision in decided) == ["Retry", "Rotate"]


async def test_hundreds_of_refreshes_of_few_grants_on_two_ledgers_are_one_lineage_each(database, desk):
    grants = [desk.grant(number) for number in range(4)]
    second = Ledger(database.connect(), POLICY, remote=True, others=[database.connect()])
    waiting = []
    for round_ in range(60):
        for ledger in (desk.ledger, second):
            waiting += [desk.refresh(grant, 0, NOW + round_, ledger=ledger) for grant in grants]
        await asyncio.sleep(0.001)
    decided = [answer.decision for answer in await asyncio.gather(*waiting)]
    await second.close()

    assert sum(isinstance(decision, Rotate) for decision in decided) == len(grants)
    assert sum(isinstance(decision, Retry) for decision in decided) == len(decided) - len(grants)
    assert {decision.grant.generation for decision in decided} == {1}


async def test_a_batch_that_met_another_transaction_is_made_again_and_nobody_notices(desk):
    grants = [desk.grant(number) for number in range(5)]

    def meet(store):
        desk.store.before_save = nothing
        raise TransactionConflict("deadlock detected")

    desk.store.before_save = meet

    assert await outcomes(map(desk.refresh, grants)) == [Refreshed] * 5
    assert [desk.row(grant).generation for grant in grants] == [1] * 5


async def test_work_that_met_another_transaction_is_made_again(desk):
    attempts = []

    def work(store):
        attempts.append(1)
        if len(attempts) == 1:
            raise TransactionConflict("could not serialize access")
        return store.control().version

    assert await desk.ledger.run(work) > 0
    assert len(attempts) == 2


async def test_a_key_that_another_node_revoked_is_refused_by_every_connection_at_once(desk):
    """A row that one connection read before the change must not be remembered after it."""
    grant = desk.grant()
    await asyncio.gather(*(desk.refresh(grant) for _ in range(10)))
    with transaction(desk.other):
        revoke_key(desk.other, desk.key.key_id, NOW, POLICY, Actor("test"))

    for number in range(2, 12):
        answers = await asyncio.gather(
            desk.refresh(grant, 1), desk.open(desk.new_grant(number)), return_exceptions=True
        )
        assert answers[0].decision == Dead("key_disabled")
        assert isinstance(answers[1], InvalidCredentials)


async def test_a_statement_that_never_ends_is_cut_off_and_the_next_one_has_a_new_connection(database):
    async with two_lanes(database, patience=0.2) as desk:
        grant = desk.grant()
        began = time.monotonic()

        (kind,) = await outcomes([desk.ledger.run(lambda store: store._execute("select pg_sleep(4)"))])

        assert kind is StorageUnavailable
        assert time.monotonic() - began < 2
        assert isinstance((await desk.refresh(grant)).decision, Rotate)


class Away(Witness):
    """A database that nobody reaches, which takes its time to show."""

    def begin(self, *, wait):
        self.seen["attempts"] += 1
        time.sleep(0.1)
        raise Unreachable("no answer")


async def test_callers_who_wait_behind_a_database_that_is_away_are_told_with_the_first(database):
    """An attempt to connect may take seconds: thousands of callers must not wait for one after another."""
    away = Away(database.connect())
    ledger = Ledger(away, POLICY, remote=True)
    grants = [make_grant(number) for number in range(4 * BATCH_LIMIT)]

    assert await outcomes(ledger.open(grant, NOW, nothing) for grant in grants) == [Unreachable] * len(grants)
    assert away.seen["attempts"] == 1
    await ledger.close()


async def test_more_than_the_queue_holds_is_refused_at_once(database):
    async with two_lanes(database, queue_limit=3) as desk:
        grants = [desk.grant(number) for number in range(4)]
        waiting = [desk.refresh(grant) for grant in grants]

        assert [future.done() for future in waiting] == [False, False, False, True]
        assert await outcomes(waiting) == [Refreshed, Refreshed, Refreshed, StorageUnavailable]


async def test_closing_finishes_what_waits_on_every_connection(desk):
    grants = [desk.grant(number) for number in range(2 * BATCH_LIMIT + 10)]
    waiting = [*map(desk.refresh, grants), desk.ledger.run(lambda store: store.prune_revocations(NOW))]

    await desk.ledger.close()

    assert await outcomes(waiting) == [Refreshed] * len(grants) + [type(None)]
