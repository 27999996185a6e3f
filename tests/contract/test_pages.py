"""Pages: a reader who follows them to the last has seen everything once, in order."""

import pytest
from tests.contract.conftest import NOW, make_grant, make_key

from hourpass.core.actor import Actor
from hourpass.core.grant import GrantRef
from hourpass.core.key_events import KeyRevoked

KEYS = ["0000000000aA", "0000000000aa", "AAAAAAAAAAAA", "ZZZZZZZZZZZZ", "aaaaaaaaaaaa", "zzzzzzzzzzzz"]
"""In the order of their bytes. A database that sorts text by a language's rules would mix capitals with the others."""

LIMITS = [1, 2, 3, 6, 7, 500]

FIRST, LAST = bytes(16), b"\xff" * 16


def walk(page, start, position, limit) -> list:
    """Follow the pages to the end. The bound finds a page that leads back to an earlier one."""
    found, after = [], start
    for _ in range(1_000):
        rows = page(after, limit)
        assert len(rows) <= limit
        if not rows:
            return found
        found += rows
        after = position(rows[-1])
    raise AssertionError("the pages have no end")


@pytest.fixture
def grants(store):
    """Two grants for each key, at both ends of what an id can be, added in the wrong order."""
    grants = [make_grant(key_id=key_id, grant_id=grant_id) for key_id in KEYS for grant_id in (FIRST, LAST)]
    store.add_grants(grants[::-1])
    return grants


@pytest.mark.parametrize("limit", LIMITS)
def test_all_grants_come_in_the_order_of_keys_and_ids(store, grants, limit):
    assert walk(store.grants_page, GrantRef("", b""), lambda grant: grant.ref, limit) == grants


@pytest.mark.parametrize("limit", LIMITS)
def test_pruning_reads_rows_in_the_order_of_keys_and_ids(store, grants, limit):
    rows = walk(store.expiries_page, GrantRef("", b""), lambda row: row.ref, limit)

    assert [row.ref for row in rows] == [grant.ref for grant in grants]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_keys_grants_come_in_the_order_of_their_ids(store, limit):
    mine = [make_grant(number) for number in range(6)]
    store.add_grants([*mine[::-1], make_grant(3, key_id="anotherkey00"), make_grant(3, key_id="zzzzzzzzzzzz")])

    def page(after, limit):
        return store.grants_page(after, limit, mine[0].key_id)

    assert walk(page, GrantRef(mine[0].key_id, b""), lambda grant: grant.ref, limit) == mine


@pytest.mark.parametrize("limit", LIMITS)
def test_all_keys_come_in_the_order_of_their_ids(store, limit):
    for key_id in KEYS[::-1]:
        store.add_key(make_key(key_id))

    assert [key.key_id for key in walk(store.keys_page, "", lambda key: key.key_id, limit)] == KEYS


@pytest.mark.parametrize("limit", LIMITS)
def test_the_whole_audit_trail_comes_in_the_order_it_was_written(store, limit):
    for number in range(6):
        store.append_audit(NOW - number, [KeyRevoked(f"key{number}", "revoked", Actor("test"))])

    rows = walk(store.audit_after, 0, lambda record: record.n, limit)

    assert [row.key_id for row in rows] == [f"key{number}" for number in range(6)]
    assert [row.n for row in rows] == sorted({row.n for row in rows})


def test_a_page_that_ended_at_a_row_that_was_deleted_goes_on_behind_it(store, grants):
    """Pruning deletes the very rows that it goes on from."""
    page = store.grants_page(GrantRef("", b""), 3)
    store.delete_grants([grant.ref for grant in page])

    assert store.grants_page(page[-1].ref, 500) == grants[3:]


def test_an_empty_store_has_no_pages(store):
    assert store.grants_page(GrantRef("", b""), 10) == store.expiries_page(GrantRef("", b""), 10) == []
    assert store.keys_page("", 10) == store.audit_after(0, 10) == []
