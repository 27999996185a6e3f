"""What every store has to do. A further store joins by one more parameter of the fixture."""

import os

import pytest

from hourpass.core.api_key import ApiKey
from hourpass.core.audit import KeyRevoked
from hourpass.core.errors import ConfigurationError
from hourpass.core.grant import Grant, GrantRef, decide_refresh, open_grant, revoke
from hourpass.core.policy import Policy
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore

NOW = 1_800_000_000_000
KEY = ApiKey("vLN4aeuHv8ZP", "test", b"d" * 32, "s", "a b", "production", None, None, ("10.0.0.0/8",), NOW)


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    store = SqliteStore(":memory:" if request.param == "memory" else tmp_path / "store.db")
    store.migrate(NOW)
    yield store
    store.close()


def new_grant(key_id: str = KEY.key_id) -> Grant:
    return open_grant(grant_id=os.urandom(16), seed=os.urandom(16), key_id=key_id, scope=None, now=NOW, policy=Policy())


def test_what_is_opened_is_found(store):
    grants = [new_grant() for _ in range(3)]
    with transaction(store):
        store.add_grants(grants)

    with transaction(store):
        found = store.grants([grant.ref for grant in grants] + [GrantRef("nobody", b"x" * 16)])

    assert found == {grant.ref: grant for grant in grants}


def test_a_rotation_is_kept_only_where_nobody_came_before(store):
    grant = new_grant()
    rotated = decide_refresh(grant, 0, NOW + 1, Policy()).grant
    with transaction(store):
        store.add_grants([grant])
        assert store.save_rotations([(0, rotated)]) == {grant.ref}
        assert store.save_rotations([(0, rotated)]) == set()

        assert store.grants([grant.ref])[grant.ref] == rotated


def test_a_revoked_grant_never_rotates(store):
    grant = new_grant()
    rotated = decide_refresh(grant, 0, NOW + 1, Policy()).grant
    with transaction(store):
        store.add_grants([grant])
        assert store.revoke_grant(revoke(grant, NOW + 1, "revoked"))
        assert not store.revoke_grant(revoke(grant, NOW + 2, "replayed"))
        assert store.save_rotations([(0, rotated)]) == set()

        assert store.grants([grant.ref])[grant.ref].revoked_why == "revoked"


def test_a_transaction_that_fails_leaves_nothing(store):
    grant = new_grant()
    with pytest.raises(RuntimeError), transaction(store):
        store.add_grants([grant])
        raise RuntimeError

    with transaction(store):
        assert store.grants([grant.ref]) == {}


def test_pages_are_complete_and_in_order(store):
    grants = [new_grant(key_id) for key_id in ("a", "b") for _ in range(5)]
    with transaction(store):
        store.add_grants(grants)
        everything, after = [], GrantRef("", b"")
        while page := store.grants_page(after, 3):
            everything += page
            after = page[-1].ref
        of_b = store.grants_of_key("b", b"", 10)

    assert [grant.ref for grant in everything] == sorted(grant.ref for grant in grants)
    assert {grant.ref for grant in of_b} == {grant.ref for grant in grants if grant.key_id == "b"}


def test_counting_and_ages_leave_out_the_revoked_and_other_keys(store):
    mine, revoked, other = new_grant(), new_grant(), new_grant("other")
    with transaction(store):
        store.add_grants([mine, revoked, other])
        store.revoke_grant(revoke(revoked, NOW, "revoked"))

        assert store.count_grants(KEY.key_id) == 1
        assert [age.grant_id for age in store.grant_ages(KEY.key_id)] == [mine.grant_id]

        store.delete_grants([mine.ref])
        assert store.count_grants(KEY.key_id) == 0


def test_a_number_of_the_revocation_list_is_never_given_twice(store):
    with transaction(store):
        first = store.add_revocation("grant", "g", NOW + 10)
        store.prune_revocations(NOW + 10)
        second = store.add_revocation("grant", "g", NOW + 20)

        assert second.n > first.n
        assert store.revocations_after(first.n, NOW + 19) == [second]
        assert store.revocations_after(first.n, NOW + 20) == []


def test_keys_come_back_whole_and_every_change_of_them_is_noticed(store):
    with transaction(store):
        before = store.control().version
        store.add_key(KEY)
        added = store.control().version
        assert store.key(KEY.key_id) == KEY
        assert store.keys_page("", 10) == [KEY]

        assert store.revoke_key(KEY.key_id, NOW + 1)
        assert not store.revoke_key(KEY.key_id, NOW + 2)

        assert store.key(KEY.key_id).revoked_at == NOW + 1
        assert before < added < store.control().version


def test_the_audit_trail_is_in_order(store):
    with transaction(store):
        store.append_audit(NOW, [KeyRevoked("a", "me"), KeyRevoked("b", "me")])
        records = store.audit_after(0, 10)

        assert [(record.event, record.key_id, record.detail) for record in records] == [
            ("key_revoked", "a", {"actor": "me"}),
            ("key_revoked", "b", {"actor": "me"}),
        ]
        assert store.last_audit() == records[-1].n


def test_migrating_twice_changes_nothing(store):
    assert store.migrate(NOW) == []
    assert store.pending_migrations() == []


@pytest.fixture
def two(tmp_path):
    """Two connections to one database, as two processes have them."""
    stores = [SqliteStore(tmp_path / "two.db") for _ in range(2)]
    stores[0].migrate(NOW)
    yield stores
    for store in stores:
        store.close()


def test_who_will_not_wait_is_told_that_another_writes(two):
    writer, other = two
    writer.begin(wait=True)

    assert not other.begin(wait=False)
    other.begin_reading()
    assert other.control().version == 0
    other.rollback()
    writer.rollback()
    assert other.begin(wait=False)
    other.rollback()


def test_a_change_is_seen_by_the_other_connection(two):
    writer, other = two
    with transaction(writer):
        writer.add_key(KEY)

    with transaction(other):
        assert other.key(KEY.key_id) == KEY


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update migrations set checksum = 'x'", "altered"),
        ("insert into migrations values ('9999_later', 'x', 0)", "newer"),
    ],
    ids=["altered", "newer"],
)
def test_a_database_that_does_not_fit_this_program_is_refused(two, change, words):
    store, other = two
    other._execute(change)

    with pytest.raises(ConfigurationError, match=words):
        store.migrate(NOW)
