"""Transactions that meet: undone by the server, and run again by the caller, a few times."""

import threading

import pytest
from tests.contract.conftest import make_grant, rotated
from tests.postgres.conftest import NOW

from hourpass.core.errors import StorageUnavailable
from hourpass.server.store import PAUSES, persist, transaction
from hourpass.server.store.connection import TransactionConflict


def test_two_transactions_that_wait_for_each_other_both_succeed_in_the_end(database):
    """The server ends the circle by undoing one of them (40P01)."""
    grants = [make_grant(1), make_grant(2)]
    with transaction(database.connect()) as store:
        store.add_grants(grants)
    met, attempts = threading.Barrier(2), []

    def revoke(store, order):
        def attempt():
            attempts.append(order)
            store.begin(wait=False)
            first, second = order
            store.revoke_grant(first._replace(revoked_at=NOW, revoked_why="revoked"))
            if len(attempts) <= 2:
                met.wait(5)
            store.revoke_grant(second._replace(revoked_at=NOW, revoked_why="revoked"))
            store.commit()

        persist(attempt, store.rollback)

    threads = [threading.Thread(target=revoke, args=[database.connect(), order]) for order in (grants, grants[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)

    # Once each, and once more for the one that was undone. On a busy machine the second meeting may collide again.
    assert len(attempts) >= 3
    with transaction(database.connect()) as store:
        assert [store.grants([grant.ref])[grant.ref].revoked_at for grant in grants] == [NOW, NOW]


def test_two_batches_that_name_the_same_grants_in_opposite_orders_do_not_wait_in_a_circle(database):
    grants = [make_grant(number) for number in range(1_000)]
    with transaction(database.connect()) as store:
        store.add_grants(grants)
    together, won = threading.Barrier(2), []

    def race(store, order):
        for generation in range(10):
            moved = [(generation, rotated(grant)._replace(generation=generation + 1)) for grant in order]
            store.begin(wait=False)
            together.wait(10)
            won.append(len(moved) - len(store.save_rotations(moved)))
            store.commit()

    racers = [threading.Thread(target=race, args=[database.connect(), order]) for order in (grants, grants[::-1])]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert sorted(won) == [0] * 10 + [1_000] * 10


def test_a_conflict_that_does_not_end_is_told_after_a_few_attempts_and_all_is_undone(database):
    store = database.connect()
    attempts = []

    def attempt():
        attempts.append(1)
        store.begin(wait=False)
        store.add_grants([make_grant()])
        raise TransactionConflict("again")

    with pytest.raises(TransactionConflict):
        persist(attempt, store.rollback)

    assert len(attempts) == len(PAUSES) + 1
    with transaction(store):
        assert store.grants([make_grant().ref]) == {}


def test_a_statement_that_reads_what_another_changed_is_refused_under_the_strict_level_and_then_succeeds(database):
    """40001: the snapshot is older than the row."""
    database.connect()
    store, other = database.open(options="-c%20default_transaction_isolation%3Dserializable"), database.connect()
    with transaction(other):
        other.add_grants([make_grant()])
    interfere = [lambda: rotate(other)]

    def rotate(other):
        with transaction(other):
            other.save_rotations([(0, rotated(make_grant()))])

    def attempt():
        store.begin(wait=False)
        now = store.grants([make_grant().ref])[make_grant().ref]
        if interfere:
            interfere.pop()()
        lost = store.save_rotations([(now.generation, rotated(now))])
        store.commit()
        return now.generation, lost

    assert persist(attempt, store.rollback) == (1, set())


def test_a_row_that_another_holds_for_too_long_is_storage_trouble(database):
    """This takes as long as a writer is ready to wait."""
    holder, store = database.connect(), database.connect()
    with transaction(holder):
        holder.add_grants([make_grant()])
    holder.begin(wait=False)
    holder.save_rotations([(0, rotated(make_grant()))])

    store.begin(wait=False)
    with pytest.raises(StorageUnavailable, match="55P03"):
        store.save_rotations([(0, rotated(make_grant()))])
    store.rollback()
    holder.commit()

    with transaction(store):
        assert store.grants([make_grant().ref])[make_grant().ref].generation == 1
