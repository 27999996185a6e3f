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
