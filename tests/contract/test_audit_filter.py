"""Every store finds the same lines of the audit trail as the rule does."""

import pytest
from tests.contract.conftest import NOW

from hourpass.core import grant_events, key_events, server_events
from hourpass.core.actor import Actor
from hourpass.core.audit_filter import AuditFilter
from hourpass.core.policy import HOUR
from hourpass.server.store.tables import TABLES

EVENTS = [
    key_events.KeyCreated("key1", "x", Actor("me")),
    grant_events.GrantRevoked("aa", "key1", "revoked", Actor("me")),
    key_events.KeyRevoked("key1", "leaked", Actor("me")),
    key_events.KeyRevoked("key2", "revoked", Actor("me")),
    server_events.SigningKeyWithdrawn("kid", None, Actor("me")),
]


OLD = [
    {"event": "key_revoked", "key_id": "key1", "detail": '{"reason":"revoked","actor":"me too"}'},
    {"event": "refresh_replayed", "key_id": "key1", "grant_id": "aa", "detail": '{"address":"::1"}'},
]

(TRAIL,) = (table for table in TABLES if table.name == "audit")


def _of_a_program_of_before(line, number):
    return tuple(({"n": number, "at": NOW + number} | line).get(name) for name in TRAIL.columns)


@pytest.mark.parametrize(
    "wanted",
    [
        AuditFilter(),
        AuditFilter(key_id="key1"),
        AuditFilter(grant_id="aa"),
        AuditFilter(grant_id="aa", key_id="key1", event="grant.revoked"),
        AuditFilter(grant_id="aa", key_id="key2"),
        AuditFilter(event="key.revoked"),
        AuditFilter(key_id="key1", event="key.revoked"),
        AuditFilter(event="key_revoked"),
        AuditFilter(event="grant.replayed"),
        AuditFilter(actor="m"),
        AuditFilter(actor="key:"),
        AuditFilter(actor="%"),
        AuditFilter(key_id="nobody' or '1'='1"),
        AuditFilter(since=NOW + 1, until=NOW + 3),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_newest_lines_that_are_wanted_come_oldest_first(store, wanted, limit):
    for number, event in enumerate(EVENTS):
        store.append_audit(NOW + number, [event])

    store.add_rows(TRAIL, [_of_a_program_of_before(line, number) for number, line in enumerate(OLD, 10)])

    lines = store.audit_after(0, 100)
    taken = [
        each
        for each in lines
        if wanted.takes(each.at, each.event, key_id=each.key_id, grant_id=each.grant_id, actor=each.actor)
    ]
    assert len(lines) == len(EVENTS) + len(OLD)
    assert store.newest_audit(wanted, limit) == taken[-limit:]
    assert store.newest_audit(wanted, limit, before=3) == [each for each in taken if each.n < 3][-limit:]
    assert store.newest_audit(wanted, limit, above=2) == [each for each in taken if each.n > 2][-limit:]


def test_a_line_of_a_node_whose_clock_was_wrong_by_hours_is_found_by_its_own_instant(store):
    for hours in (0, 1, -20, 2, 20, 3, 30):
        store.append_audit(NOW + hours * HOUR, [EVENTS[0]])

    def found(**times):
        return [each.n for each in store.newest_audit(AuditFilter(**times), 10)]

    assert found(since=NOW - 21 * HOUR, until=NOW) == [3]
    assert found(since=NOW + 19 * HOUR, until=NOW + 21 * HOUR) == [5]
    assert found(until=NOW + 3 * HOUR) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["key.revoked", "key_revoked"])
def test_either_spelling_finds_the_lines_of_both(store, name):
    store.append_audit(NOW, [key_events.KeyRevoked("key1", "leaked", Actor("me"))])
    store.add_rows(TRAIL, [_of_a_program_of_before(OLD[0], 10)])

    found = store.newest_audit(AuditFilter(event=name), 10)

    assert [(each.n, each.event) for each in found] == [(1, "key.revoked"), (10, "key.revoked")]


@pytest.mark.parametrize(
    ("wanted", "floors"),
    [
        (AuditFilter(actor="m"), {1: 8, 8: 1, 9: 0}),
        (AuditFilter(key_id="key1", actor="m"), {1: 7, 4: 1, 5: 0}),
        (AuditFilter(event="key.revoked"), {1: 7, 4: 3, 5: 0}),
        (AuditFilter(event="key_revoked", actor="m"), {1: 7, 4: 3, 5: 0}),
        (AuditFilter(grant_id="aa", actor="m"), {1: 0}),
        (AuditFilter(key_id="nobody"), {1: 0}),
    ],
)
def test_a_search_looks_down_to_the_line_after_so_many_that_its_index_finds(store, wanted, floors):
    """About key1 are 1, 3, 5, 7 and 9. Revocations are 3, 4, 6, 7 and 8."""
    created, revoked = (
        [kind(key, "x", Actor("me")) for key in ("key1", "key2")]
        for kind in (key_events.KeyCreated, key_events.KeyRevoked)
    )
    store.append_audit(NOW, [*created, *revoked, created[0], revoked[1], *revoked[:1], revoked[1], created[0]])

    assert {distance: store.audit_floor(wanted, distance) for distance in floors} == floors


def test_a_search_in_the_past_looks_down_from_there_and_not_from_the_end(store):
    for day in range(10):
        store.append_audit(NOW + day * 24 * HOUR, [EVENTS[0]])

    past = AuditFilter(until=NOW + 5 * 24 * HOUR)

    assert store.audit_floor(past, 2) == 4
    assert store.audit_floor(past._replace(since=NOW + 5 * 24 * HOUR), 1) == 5
    assert store.audit_floor(past._replace(since=NOW + 5 * 24 * HOUR), 2) == 0
    assert store.audit_floor(past, 2, before=4) == 1
