"""Every store gives each notice that a key expires once, in any number of pages and by any node."""

import pytest
from tests.contract.conftest import NOW, make_key

from hourpass.core.key_expiry import NOTICES
from hourpass.core.policy import DAY
from hourpass.server.run.trail import tell_expiring


def walk(store, now: int, limit: int = 500) -> list[tuple[str, str, int | None]]:
    """The notices that one walk writes: event, key and days."""
    before = store.control().last_audit
    for days in NOTICES:
        while tell_expiring(store, days, now, limit):
            pass
    return [(each.event, each.key_id, each.detail.get("days")) for each in store.audit_after(before, 1_000)]


def add(store, number: int, expires_at: int | None, **members) -> str:
    key = make_key(f"0aZkey{number:06}", expires_at=expires_at, **members)
    store.add_key(key)
    return key.key_id


def test_a_key_has_each_notice_once_and_at_its_time(store):
    walk(store, NOW)
    key_id = add(store, 2, NOW + 40 * DAY)
    told = {}
    for half in range(2 * 42):
        now = NOW + half * DAY // 2
        told |= {(event, days): half / 2 for event, _, days in walk(store, now)}

    expiring = {("key.expiring", 30): 10, ("key.expiring", 7): 33, ("key.expiring", 1): 39}
    assert told == expiring | {("key.expired", None): 40}
    assert store.audit_after(0, 10)[-1].key_id == key_id


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_keys_that_expire_at_the_same_instant_are_told_once_in_pages_of_any_size(store, limit):
    walk(store, NOW)
    for number in range(2, 7):
        add(store, number, NOW + 30 * DAY + 1)

    assert walk(store, NOW, limit) == []
    assert [key_id for _, key_id, _ in walk(store, NOW + 1, limit)] == [f"0aZkey{number:06}" for number in range(2, 7)]
    assert walk(store, NOW + 1, limit) == walk(store, NOW + DAY, limit) == []


def test_nobody_is_told_what_was_due_before_the_first_walk(store):
    add(store, 2, NOW - DAY)
    add(store, 3, NOW + DAY // 2)

    assert walk(store, NOW) == []
    assert walk(store, NOW + DAY) == [("key.expired", "0aZkey000003", None)]


def test_after_days_without_a_walk_a_key_has_only_the_nearest_notice(store):
    walk(store, NOW)
    add(store, 2, NOW + 31 * DAY)
    add(store, 3, NOW + 37 * DAY)

    assert walk(store, NOW + 36 * DAY) == [("key.expiring", "0aZkey000003", 1), ("key.expired", "0aZkey000002", None)]


def test_a_revoked_key_and_one_without_an_end_are_not_told(store):
    walk(store, NOW)
    add(store, 2, NOW + DAY, revoked_at=NOW)
    add(store, 3, None)

    assert walk(store, NOW + 2 * DAY) == []


def test_a_key_that_gets_more_time_is_told_again_before_its_new_end(store):
    walk(store, NOW)
    key_id = add(store, 2, NOW + 2 * DAY)
    assert walk(store, NOW + DAY) == [("key.expiring", key_id, 1)]

    store.update_key(store.key(key_id)._replace(expires_at=NOW + 9 * DAY))

    assert walk(store, NOW + 3 * DAY) == [("key.expiring", key_id, 7)]
