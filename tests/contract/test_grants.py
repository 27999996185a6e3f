"""Grants: kept as they were given, moved on only from the state that was decided on."""

import pytest
from tests.contract.conftest import KEY, NOW, make_grant, rotated

from hourpass.core.grant import GrantRef, new_grant_id
from hourpass.core.grant_room import GrantAge
from hourpass.server.store import transaction
from hourpass.server.store.grants import Expiry
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.store.statements import load_queries

FULL_RING = tuple(NOW - n for n in range(8))


@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(make_grant(), id="never refreshed"),
        pytest.param(make_grant(generation=8, superseded=FULL_RING), id="a full ring"),
        pytest.param(make_grant(generation=2**62), id="a huge generation"),
        pytest.param(make_grant(scope=""), id="a scope narrowed to nothing, which is not the same as none"),
        pytest.param(make_grant(scope="a b"), id="a narrowed scope"),
        pytest.param(make_grant(grant_id=bytes(16), seed=b"\0" * 16), id="zero bytes"),
        pytest.param(
            make_grant(grant_id=b"\xff" * 16, seed=b"'\";--\0\n\xc3\x28\xff\xfe\xfd\xfc\xfb\xfa\xf9"), id="any bytes"
        ),
    ],
)
def test_a_grant_comes_back_as_it_was_opened(store, grant):
    store.add_grants([grant])

    assert store.grants([grant.ref]) == {grant.ref: grant}
    assert store.find_grant(grant.grant_id) == grant


def test_a_grant_is_found_by_its_id_alone_whether_or_not_that_tells_its_key(store):
    named = make_grant(grant_id=new_grant_id(NOW, bytes(7), KEY))
    misnamed = make_grant(grant_id=new_grant_id(NOW, bytes(7), "z" * 12))
    plain = make_grant(grant_id=new_grant_id(NOW, bytes(7), "\0" * 12))
    store.add_grants([named, misnamed, plain])

    assert [store.find_grant(each.grant_id) for each in (named, misnamed, plain)] == [named, misnamed, plain]


@pytest.mark.parametrize("name", ["find_grant_between", "find_unnamed_grant"])
def test_sqlite_reads_no_whole_table_to_find_a_grant_by_its_id(name):
    store, sql = SqliteStore(":memory:"), load_queries()[name]
    store.migrate(NOW)

    [(*_, plan)] = store._db.execute(f"explain query plan {sql}", (b"",) * sql.count("?"))

    assert plan.startswith("SEARCH grants USING ")
    store.close()


def test_only_the_grants_that_exist_are_returned(store):
    here = [make_grant(1), make_grant(2)]
    store.add_grants(here)
    missing = make_grant(3).ref

    assert store.grants([here[0].ref, missing, here[1].ref]) == {grant.ref: grant for grant in here}
    assert store.grants([missing]) == store.grants([]) == {}
    assert store.find_grant(missing.grant_id) is None


def test_a_grant_is_found_only_under_its_own_key(store):
    grant = make_grant()
    store.add_grants([grant])

    assert store.grants([GrantRef("anotherkey00", grant.grant_id)]) == {}


def test_keys_that_differ_in_case_only_are_different_keys(store):
    """Key ids are base 62: a database whose text compares without case would mix them up."""
    lower, upper = make_grant(key_id="aaaaaaaaaaaa"), make_grant(key_id="AAAAAAAAAAAA")
    store.add_grants([lower, upper])

    assert store.grants([lower.ref]) == {lower.ref: lower}
    assert store.count_grants("aaaaaaaaaaaa") == 1


def test_a_rotation_is_stored_if_the_grant_is_as_it_was_decided_on(store):
    grant = make_grant()
    store.add_grants([grant])

    assert store.save_rotations([(0, rotated(grant))]) == set()
    assert store.grants([grant.ref]) == {grant.ref: rotated(grant)}


@pytest.mark.parametrize("decided_on", [0, 2], ids=["an older generation", "a newer generation"])
def test_a_rotation_loses_if_the_generation_moved(store, decided_on):
    grant = make_grant(generation=1, superseded=(NOW,))
    store.add_grants([grant])

    assert store.save_rotations([(decided_on, rotated(grant))]) == {grant.ref}
    assert store.grants([grant.ref]) == {grant.ref: grant}


def test_the_same_rotation_wins_only_once(store):
    grant = make_grant()
    store.add_grants([grant])
    store.save_rotations([(0, rotated(grant, NOW + 5))])

    assert store.save_rotations([(0, rotated(grant, NOW + 6))]) == {grant.ref}
    assert store.grants([grant.ref])[grant.ref].superseded == (NOW + 5,)


@pytest.mark.parametrize("last_from", [None, bytes(4), bytes(range(16))])
def test_a_rotation_keeps_the_address_that_it_came_from(store, last_from):
    grant = make_grant()
    store.add_grants([grant])
    moved = rotated(grant)._replace(last_from=last_from)
    store.save_rotations([(0, moved)])

    assert store.grants([grant.ref]) == store.take_grants([grant.ref])[0] == {grant.ref: moved}
    assert store.find_grant(grant.grant_id) == moved


def test_a_rotation_loses_if_the_grant_was_revoked(store):
    grant = make_grant()
    store.add_grants([grant])
    revoked = grant._replace(revoked_at=NOW + 1, revoked_why="revoked")
    store.revoke_grant(revoked)

    assert store.save_rotations([(0, rotated(grant))]) == {grant.ref}
    assert store.grants([grant.ref]) == {grant.ref: revoked}


def test_a_rotation_loses_if_the_grant_is_gone(store):
    assert store.save_rotations([(0, rotated(make_grant()))]) == {make_grant().ref}


def test_of_many_rotations_each_wins_or_loses_alone(store):
    grants = [make_grant(number) for number in range(1, 5)]
    store.add_grants(grants)
    store.save_rotations([(0, rotated(grants[1]))])

    lost = store.save_rotations([(0, rotated(grant)) for grant in grants])

    assert lost == {grants[1].ref}


def test_a_rotation_loses_if_another_connection_moved_the_grant(shared):
    ours, theirs = shared.connect(), shared.connect()
    grant = make_grant()
    with transaction(ours):
        ours.add_grants([grant])
    with transaction(theirs):
        assert theirs.save_rotations([(0, rotated(grant))]) == set()

    with transaction(ours):
        assert ours.save_rotations([(0, rotated(grant, NOW + 9))]) == {grant.ref}
        assert ours.grants([grant.ref]) == {grant.ref: rotated(grant)}


def test_the_first_decision_to_revoke_stands(store):
    grant = make_grant()
    store.add_grants([grant])
    first = grant._replace(revoked_at=NOW + 1, revoked_why="replayed")

    assert store.revoke_grant(first) is True
    assert store.revoke_grant(grant._replace(revoked_at=NOW + 2, revoked_why="revoked")) is False
    assert store.grants([grant.ref]) == {grant.ref: first}


def test_a_grant_that_does_not_exist_cannot_be_revoked(store):
    assert store.revoke_grant(make_grant(revoked_at=NOW, revoked_why="revoked")) is False


def test_of_several_ends_those_are_returned_that_were_stored(store):
    live, over, missing = make_grant(1), make_grant(2), make_grant(3)
    store.add_grants([live, over])
    store.revoke_grant(over._replace(revoked_at=NOW, revoked_why="revoked"))
    ends = [grant._replace(revoked_at=NOW + 1, revoked_why="replayed") for grant in (missing, live, over)]

    assert store.revoke_grants(ends) == {live.ref}
    assert store.grants([live.ref, over.ref]) == {
        live.ref: live._replace(revoked_at=NOW + 1, revoked_why="replayed"),
        over.ref: over._replace(revoked_at=NOW, revoked_why="revoked"),
    }


def test_grants_that_nobody_holds_are_taken_and_those_that_do_not_exist_are_neither(store):
    store.add_grants([make_grant(1), make_grant(2)])

    taken = store.take_grants([make_grant(number).ref for number in (3, 2, 1)])

    assert taken == ({make_grant(number).ref: make_grant(number) for number in (1, 2)}, set())


def test_revoking_changes_nothing_but_the_end(store):
    """The caller may have read the grant before another node rotated it."""
    grant = make_grant()
    store.add_grants([grant])
    store.save_rotations([(0, rotated(grant))])

    store.revoke_grant(grant._replace(revoked_at=NOW + 1, revoked_why="revoked"))

    expected = rotated(grant)._replace(revoked_at=NOW + 1, revoked_why="revoked")
    assert store.grants([grant.ref]) == {grant.ref: expected}


def test_only_grants_of_the_key_that_are_not_revoked_are_counted_and_aged(store):
    mine = [make_grant(1), make_grant(2, generation=3, created_at=NOW + 1, idle_expires_at=NOW + 9), make_grant(3)]
    store.add_grants([*mine, make_grant(4, key_id="anotherkey00")])
    store.revoke_grant(mine[2]._replace(revoked_at=NOW, revoked_why="revoked"))

    assert store.count_grants(KEY) == 2
    assert sorted(store.grant_ages(KEY)) == [
        GrantAge(mine[0].grant_id, 0, NOW + 1_000, NOW),
        GrantAge(mine[1].grant_id, 3, NOW + 9, NOW + 1),
    ]


def test_a_key_without_grants_has_none(store):
    assert store.count_grants(KEY) == 0
    assert store.grant_ages(KEY) == []


def test_deleting_takes_just_the_grants_that_are_named(store):
    grants = [make_grant(number) for number in range(1, 4)]
    store.add_grants(grants)

    assert store.delete_grants([grants[0].ref, grants[2].ref, make_grant(9).ref]) == 2

    assert store.grants_page(GrantRef(KEY, b""), 10, KEY) == [grants[1]]
    assert store.delete_grants([]) == 0
    assert store.count_grants(KEY) == 1


def test_pruning_sees_revoked_grants_too(store):
    live, ended = make_grant(1), make_grant(2)
    store.add_grants([live, ended])
    store.revoke_grant(ended._replace(revoked_at=NOW + 3, revoked_why="revoked"))

    assert store.expiries_page(GrantRef("", b""), 10) == [
        Expiry(live.ref, NOW + 1_000, NOW + 2_000, None),
        Expiry(ended.ref, NOW + 1_000, NOW + 2_000, NOW + 3),
    ]
