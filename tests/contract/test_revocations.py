"""The numbered list of revocations, and the audit trail."""

import pytest
from tests.contract.conftest import NOW

from hourpass.core import grant_events, key_events, server_events
from hourpass.core.actor import Actor
from hourpass.core.event_names import event_name
from hourpass.core.revocation import Revocation
from hourpass.server.store import transaction
from hourpass.server.store.audit_trail import AuditRecord
from hourpass.server.store.revocations import NewRevocation
from hourpass.server.store.tables import TABLES


@pytest.mark.parametrize("kind", ["grant", "key", "token", "issued_before"])
def test_an_entry_gets_the_next_number_and_comes_back(store, kind):
    first = store.add_revocation(kind, "one", NOW + 1)
    second = store.add_revocation(kind, "two", NOW + 1)

    assert (first.kind, first.value, first.until) == (kind, "one", NOW + 1)
    assert second.n > first.n > 0
    assert store.revocations_after(0, NOW) == [first, second]


def test_a_cutoff_of_a_key_is_an_entry_with_a_second(store):
    first = store.add_revocation("key", "key", NOW + 1, issued_before=1_800_000_001)

    assert first == Revocation(first.n, "key", "key", NOW + 1, 1_800_000_001)
    assert store.revocations_after(0, NOW) == [first]


def test_only_entries_after_the_number_are_returned_in_order(store):
    entries = [store.add_revocation("grant", f"grant{n}", NOW + 1) for n in range(5)]

    assert store.revocations_after(entries[1].n, NOW) == entries[2:]
    assert store.revocations_after(entries[-1].n, NOW) == []


def test_several_entries_get_numbers_that_follow_each_other_in_their_order(store):
    before = store.add_revocation("grant", "before", NOW + 1)

    entries = store.add_revocations([NewRevocation("grant", f"grant{n}", NOW + n) for n in (9, 2, 5)])

    assert [(entry.n, entry.value) for entry in entries] == [
        (before.n + 1, "grant9"),
        (before.n + 2, "grant2"),
        (before.n + 3, "grant5"),
    ]
    assert store.revocations_after(before.n, NOW) == entries


def test_at_exactly_its_end_an_entry_can_refuse_nothing_more(store):
    entry = store.add_revocation("token", "jti", NOW)

    assert store.revocations_after(0, NOW - 1) == [entry]
    assert store.revocations_after(0, NOW) == []


def test_pruning_forgets_only_entries_that_can_refuse_nothing_any_more(store):
    store.add_revocation("token", "over", NOW)
    alive = store.add_revocation("token", "alive", NOW + 1)

    store.prune_revocations(NOW)

    assert store.revocations_after(0, 0) == [alive]


def test_numbers_are_never_given_out_twice_even_after_pruning(store):
    """A reader that has seen number n asks for what comes after it: an entry under an old number would be missed."""
    last = [store.add_revocation("token", f"jti{n}", NOW) for n in range(3)][-1]
    store.prune_revocations(NOW)

    assert store.add_revocation("token", "later", NOW + 1).n == last.n + 1


def test_numbers_are_never_given_out_twice_after_the_store_was_opened_again(shared):
    store = shared.connect()
    with transaction(store):
        last = store.add_revocation("token", "jti", NOW)
        store.prune_revocations(NOW)
    store.close()

    store = shared.connect()
    with transaction(store):
        assert store.add_revocation("token", "later", NOW + 1).n == last.n + 1


def test_another_connection_sees_that_there_is_a_newer_entry(shared):
    ours, theirs = shared.connect(), shared.connect()
    with transaction(ours):
        entry = ours.add_revocation("key", "value", NOW + 1)

    with transaction(theirs):
        assert theirs.control().last_revocation == entry.n
        assert theirs.revocations_after(0, NOW) == [Revocation(entry.n, "key", "value", NOW + 1)]


ADA = Actor("cli:ada@desk")

EVENTS = [
    key_events.KeyCreated("key1", "a name – with a dash", ADA),
    key_events.KeyCreated("key1", "backend", ADA, "operator", "acme/", "a b"),
    key_events.KeyRevoked("key1", "leaked", Actor("client", "192.0.2.1")),
    grant_events.GrantRevoked("aa" * 16, "key1", "revoked", ADA),
    grant_events.GrantReplayed("aa" * 16, "key1", 3, 5, Actor("client", "192.0.2.1")),
    grant_events.RefreshAhead("aa" * 16, "key1", 9, 5, Actor("client")),
    grant_events.GrantsClosed("key1", 100),
    grant_events.TokenRevoked("jti", "aa" * 16, "key1", Actor("client", "::1", "r1")),
    grant_events.TokensRevoked(1_800_000_000, ADA),
    server_events.SigningKeyPublished("kid1", "ES256", NOW),
]


@pytest.mark.parametrize("event", EVENTS, ids=event_name)
def test_an_event_comes_back_with_all_its_members(store, event):
    store.append_audit(NOW, [event])

    (record,) = store.audit_after(0, 10)
    members = {"key_id": record.key_id, "grant_id": record.grant_id, **record.detail}
    assert Actor(record.actor, record.address, record.request_id) == event.actor
    assert (record.at, record.event) == (NOW, event_name(event))
    told, meant = (
        {name: value for name, value in each.items() if value is not None}
        for each in ({**members, "actor": event.actor}, event._asdict())
    )
    assert told == meant
    assert not record.detail.keys() & event._field_defaults.keys() - meant.keys()


OLD_LINES = {
    "with an actor": ('{"reason":"leaked","actor":"cli:me","address":null}', "cli:me", None, {"reason": "leaked"}),
    "over HTTP": ('{"reason":"x","actor":"client","address":"::1"}', "client", "::1", {"reason": "x"}),
    "with an address alone": ('{"number":1,"address":"192.0.2.1"}', None, "192.0.2.1", {"number": 1}),
    "with no address": ('{"number":1,"address":""}', None, None, {"number": 1}),
    "with two": ('{"rotated_from":"::1","retried_from":"::2"}', None, "::2", {"rotated_from": "::1"}),
    "with neither": ('{"closed":3}', None, None, {"closed": 3}),
}


@pytest.mark.parametrize("old", OLD_LINES)
def test_a_line_of_an_older_program_is_read_with_its_actor_and_address_in_their_places(store, old):
    (trail,) = (table for table in TABLES if table.name == "audit")
    stored, *expected = OLD_LINES[old]
    line = {"n": 1, "at": NOW, "event": "key.revoked", "key_id": "key1", "detail": stored}

    store.add_rows(trail, [tuple(line.get(name) for name in trail.columns)])

    (record,) = store.audit_after(0, 10)
    assert [record.actor, record.address, record.detail] == expected


def test_events_of_one_call_keep_their_order(store):
    store.append_audit(NOW, EVENTS)

    assert [record.event for record in store.audit_after(0, 10)] == [event_name(event) for event in EVENTS]
    assert isinstance(store.audit_after(0, 1)[0], AuditRecord)


def test_lines_of_several_instants_keep_their_order_and_instants(store):
    store.append_audit(NOW, EVENTS[:1])
    store.append_lines([(NOW - n, event) for n, event in enumerate(EVENTS)])
    store.append_lines([])

    first, *lines = store.audit_after(0, 100)
    assert [(line.n, line.at, line.event) for line in lines] == [
        (first.n + n, NOW - n + 1, event_name(event)) for n, event in enumerate(EVENTS, start=1)
    ]


def test_the_newest_number_of_the_trail(store):
    assert store.control().last_audit == 0
    store.append_audit(NOW, EVENTS[:3])

    assert store.control().last_audit == store.audit_after(0, 10)[-1].n
    assert store.audit_after(store.control().last_audit, 10) == []
