"""What the audit trail says of one grant, and how often something happened lately, without reading all of it."""

import pytest
from tests.contract.conftest import KEY, NOW

from hourpass.core.actor import Actor
from hourpass.core.audit_chain import Ends
from hourpass.core.audit_filter import AuditFilter
from hourpass.core.audit_verification import LATE
from hourpass.core.grant_events import GrantReplayed, GrantRevoked
from hourpass.core.key_events import KeyDisabled, KeyRotatedUsed
from hourpass.core.policy import MINUTE
from hourpass.server.admin.overview import lines_not_chained
from hourpass.server.store.tables import TABLES

ACTOR = Actor("client", "192.0.2.1", "r1")


def replay(number: int) -> GrantReplayed:
    return GrantReplayed(f"{number:032x}", KEY, 1, 2, ACTOR)


def test_the_lines_of_a_grant_come_oldest_first_and_those_of_others_do_not(store):
    store.append_lines([(NOW + n, replay(n % 2)) for n in range(5)])
    store.append_lines([(NOW, KeyDisabled(KEY, ACTOR)), (NOW + 9, GrantRevoked(f"{1:032x}", KEY, "revoked", ACTOR))])

    lines = store.newest_audit(AuditFilter(grant_id=f"{1:032x}"), 10)

    assert [(line.at, line.event) for line in lines] == [
        (NOW + 1, "grant.replayed"),
        (NOW + 3, "grant.replayed"),
        (NOW + 9, "grant.revoked"),
    ]
    assert [line.at for line in store.newest_audit(AuditFilter(grant_id=f"{1:032x}"), 2)] == [NOW + 3, NOW + 9]
    assert store.newest_audit(AuditFilter(grant_id="ab"), 10) == []


@pytest.mark.parametrize("since", range(-1, 12))
def test_events_are_counted_since_an_instant(store, since):
    """The instants of neighbouring lines may be out of order, because nodes have clocks."""
    instants = [0, 1, 3, 2, 2, 5, 4, 7, 10]
    assert store.count_audit("grant.replayed", NOW) == 0
    store.append_lines(
        [(NOW + at * MINUTE, event) for at in instants for event in (replay(at), KeyDisabled(KEY, ACTOR))]
    )

    assert store.count_audit("grant.replayed", NOW + since * MINUTE) == sum(at >= since for at in instants)


def test_the_keys_that_an_event_tells_of_are_counted_once_each(store):
    callers = [Actor("client", f"192.0.2.{n}") for n in range(3)]
    lines = [(NOW + n, KeyRotatedUsed(key_id, 0, by)) for n, key_id in enumerate(("a", KEY, "b")) for by in callers]
    store.append_lines([*lines, (NOW + 3, KeyDisabled("c", ACTOR))])

    assert [store.count_audit_keys("key.rotated_used", NOW + n) for n in range(4)] == [3, 2, 1, 0]


def test_lines_of_older_programs_are_counted_and_numbers_may_have_gaps(store):
    (audit,) = (table for table in TABLES if table.name == "audit")
    rows = [(n, NOW + n, event) for n, event in ((3, "refresh_replayed"), (70, "key_created"), (900, "grant.replayed"))]
    store.add_rows(audit, [(*row, None, None, "{}") + (None,) * (len(audit.columns) - 6) for row in rows])
    store.go_on_from(store.numbers()._replace(last_audit=900))

    assert store.count_audit("grant.replayed", NOW) == 2
    assert store.count_audit("grant.replayed", NOW + 4) == 1


def test_lines_are_not_chained_in_time_once_the_oldest_of_them_should_be(store):
    store.append_lines([(NOW + n, replay(n)) for n in range(3)])
    late = NOW + LATE

    assert lines_not_chained(store, late - 1) == 0
    assert lines_not_chained(store, late) == 3
    for head, behind in ((1, 2), (3, 0)):
        store.save_audit_ends(Ends(NOW, 0, 0, b"", head, b"", "k", b""))
        assert lines_not_chained(store, NOW + MINUTE) == behind
