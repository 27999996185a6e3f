"""Transactions: all or nothing, one writer at a time, and readers that nobody holds up."""

import threading

import pytest
from tests.contract.conftest import NOW, make_grant, make_key, rotated

from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import GrantRef
from hourpass.server.store import transaction
from hourpass.server.store.grants import FIRST_GRANT


def test_everybody_sees_a_commit(shared):
    ours, theirs = shared.connect(), shared.connect()
    with transaction(ours):
        ours.add_grants([make_grant()])

    with transaction(theirs):
        assert theirs.grants([make_grant().ref]) == {make_grant().ref: make_grant()}


def test_a_rollback_undoes_everything_since_the_beginning(database):
    store = database.connect()
    with transaction(store):
        store.add_grants([make_grant(1)])
        store.add_key(make_key())

    store.begin(wait=True)
    store.add_grants([make_grant(2)])
    store.save_rotations([(0, rotated(make_grant(1)))])
    store.revoke_key(make_key().key_id, NOW)
    store.add_revocation("key", "value", NOW + 1)
    store.delete_grants([make_grant(1).ref])
    store.rollback()

    with transaction(store):
        assert store.grants_page(FIRST_GRANT, 10) == [make_grant(1)]
        assert store.key(make_key().key_id) == make_key()
        assert store.revocations_after(0, NOW) == []


def test_an_error_inside_a_transaction_undoes_it_and_is_passed_on(database):
    store = database.connect()

    with pytest.raises(LookupError, match="mine"), transaction(store):
        store.add_grants([make_grant()])
        raise LookupError("mine")

    with transaction(store):
        assert store.grants([make_grant().ref]) == {}


def test_a_rollback_without_a_transaction_does_nothing(database):
    store = database.connect()
    store.rollback()
    store.begin(wait=True)
    store.rollback()
    store.rollback()


def test_nothing_is_seen_by_others_before_the_commit(shared):
    ours, theirs = shared.connect(), shared.connect()
    ours.begin(wait=True)
    ours.add_grants([make_grant()])

    theirs.begin_reading()
    assert theirs.grants([make_grant().ref]) == {}
    theirs.commit()
    ours.commit()
    theirs.begin_reading()
    assert make_grant().ref in theirs.grants([make_grant().ref])


def test_a_second_writer_that_does_not_wait_is_told_so(exclusive):
    ours, theirs = exclusive.connect(), exclusive.connect()

    assert theirs.begin(wait=False) is True
    assert ours.begin(wait=False) is False
    theirs.commit()
    assert ours.begin(wait=False) is True


def test_a_writer_that_was_told_so_may_wait_for_its_turn(exclusive):
    ours, theirs = exclusive.connect(), exclusive.connect()
    theirs.begin(wait=True)
    assert ours.begin(wait=False) is False
    release = threading.Timer(0.05, theirs.commit)
    release.start()

    assert ours.begin(wait=True) is True
    release.join()


def test_a_writer_that_waits_sees_what_the_one_before_it_left(shared):
    ours, theirs = shared.connect(), shared.connect()
    theirs.begin(wait=True)
    theirs.add_grants([make_grant()])
    theirs.add_key(make_key())
    release = threading.Timer(0.05, theirs.commit)
    release.start()

    assert ours.begin(wait=True) is True
    release.join()
    assert make_grant().ref in ours.grants([make_grant().ref])


def test_a_writer_whose_turn_never_comes_is_told_that_storage_is_unavailable(shared):
    """contract.md, promise 3. This takes as long as the store is ready to wait."""
    ours, theirs = shared.connect(), shared.connect()
    theirs.begin(wait=True)

    with pytest.raises(StorageUnavailable):
        ours.begin(wait=True)

    theirs.rollback()
    assert ours.begin(wait=False) is True


def test_a_reader_is_not_held_up_by_a_writer(shared):
    ours, theirs = shared.connect(), shared.connect()
    theirs.begin(wait=True)
    theirs.add_key(make_key())

    ours.begin_reading()
    assert ours.key(make_key().key_id) is None
    ours.commit()


def test_a_reader_that_wanted_to_write_before_is_not_held_up_either(exclusive):
    ours, theirs = exclusive.connect(), exclusive.connect()
    theirs.begin(wait=True)
    theirs.add_key(make_key())
    assert ours.begin(wait=False) is False

    ours.begin_reading()
    assert ours.key(make_key().key_id) is None
    ours.commit()


def test_a_reader_holds_up_no_writer(shared):
    ours, theirs = shared.connect(), shared.connect()
    ours.begin_reading()
    ours.control()

    assert theirs.begin(wait=False) is True
    theirs.add_key(make_key())
    theirs.commit()


def test_a_reader_sees_one_moment_until_it_ends(shared):
    ours, theirs = shared.connect(), shared.connect()
    ours.begin_reading()
    before = ours.control()
    with transaction(theirs):
        theirs.add_key(make_key())

    assert ours.control() == before
    assert ours.keys_page("", 10) == []
    ours.commit()
    ours.begin_reading()
    assert ours.control() != before


def test_maintaining_loses_nothing_and_disturbs_no_transaction(shared):
    ours, theirs = shared.connect(), shared.connect()
    big = make_key(name="n" * 6_000_000)
    with transaction(ours):
        ours.add_key(big)
    ours.begin(wait=True)
    ours.add_grants([make_grant()])

    ours.maintain()

    ours.commit()
    with transaction(theirs):
        assert theirs.key(big.key_id) == big
        assert make_grant().ref in theirs.grants([make_grant().ref])


def test_two_connections_that_race_for_one_rotation_have_one_winner(shared):
    """contract.md, promise 1, on this store: as many rotations as generations, on both connections together."""
    grant = make_grant()
    with transaction(shared.connect()) as store:
        store.add_grants([grant])
    wins: list[int] = []

    def race(store):
        for _ in range(20):
            with transaction(store):
                now = store.grants([grant.ref])[grant.ref]
            with transaction(store):
                wins.extend([] if store.save_rotations([(now.generation, rotated(now))]) else [now.generation])

    racers = [threading.Thread(target=race, args=[shared.connect()]) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    with transaction(shared.connect()) as store:
        assert store.grants([grant.ref])[grant.ref].generation == len(wins)
    assert sorted(wins) == list(range(len(wins)))


def test_the_proof_that_a_database_takes_writes_is_a_write_and_changes_nothing(shared):
    """SQLite would write nothing for an update that changes no byte. PostgreSQL makes a new version of the row."""
    store, other = shared.connect(), shared.connect()
    before = other.look()
    written = shared.written()

    with transaction(store):
        store.prove_writable()

    assert shared.written() > written
    assert other.look() == before


def test_the_proof_that_there_is_room_changes_nothing(shared):
    store, other = shared.connect(), shared.connect()
    before = other.look()

    for _ in range(2):
        with transaction(store):
            store.prove_room()

    assert other.look() == before
    with transaction(other):
        assert other.grants_page(GrantRef("", b""), 10) == []
