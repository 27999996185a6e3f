"""Published events as they are told, and the pages in which they are read from the audit trail."""

from typing import NamedTuple

from hourpass.admin.audit_detail import told_detail
from hourpass.admin.instants import exact_moment
from hourpass.admin.shapes import EventData, PublishedEvent
from hourpass.core.admin_access import HIDDEN_ACTOR, AdminCaller, sees, sees_actor
from hourpass.core.published import PUBLISHED
from hourpass.server.store import Store
from hourpass.server.store.audit_trail import AuditRecord

SCANNED = 500
"""How many lines of the trail are read for one page, so that it costs little, also if few of them are published."""


class Occurred(NamedTuple):
    """A published event, and when it happened, in epoch milliseconds."""

    at: int
    event: PublishedEvent


class EventPage(NamedTuple):
    """Published events in order, and the number up to which there are no others: the next page begins after it."""

    events: list[Occurred]
    last: int


def events_after(store: Store, after: int, limit: int = SCANNED, caller: AdminCaller | None = None) -> EventPage:
    """The published events after a number. A page may be empty although later ones exist: go on after its `last`.

    A delegated caller gets only events of the keys that it sees, and no names of other administrators.
    """
    records = store.audit_after(after, SCANNED)
    last = records[-1].n if len(records) == SCANNED else max(after, store.control().last_audit)
    found = [record for record in records if record.event in PUBLISHED]
    if caller is not None and caller.is_delegated:
        found = _seen_by(caller, store, found)
    if len(found) > limit:
        last = found[limit - 1].n
    return EventPage([Occurred(record.at, published(record)) for record in found[:limit]], last)


def published(record: AuditRecord) -> PublishedEvent:
    """A line of the audit trail as receivers get it."""
    data = EventData(
        key_id=record.key_id,
        grant_id=record.grant_id,
        actor=record.actor,
        address=record.address,
        detail=told_detail(record.detail),
    )
    return PublishedEvent(type=record.event, number=record.n, timestamp=exact_moment(record.at), data=data)


def _seen_by(caller: AdminCaller, store: Store, records: list[AuditRecord]) -> list[AuditRecord]:
    keys = store.keys_of_ids(sorted({each.key_id for each in records if each.key_id}))
    theirs = {key_id for key_id, key in keys.items() if sees(caller, key)}
    return [
        each if sees_actor(caller, each.actor) else each._replace(actor=HIDDEN_ACTOR, address=None, request_id=None)
        for each in records
        if each.key_id in theirs
    ]
