"""Published events as they are told, and the pages in which they are read from the audit trail."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from hourpass.core.published import PUBLISHED
from hourpass.server.store import AuditRecord, Store

SCANNED = 500
"""How many lines of the trail are read for one page, so that a page costs little however few of them are published."""


class EventData(msgspec.Struct, frozen=True):
    """What an event is about: who did it, from where, and the other members of the line in the audit trail."""

    key_id: str | None
    grant_id: str | None
    actor: str | None
    address: str | None
    detail: dict[str, object]


class PublishedEvent(msgspec.Struct, frozen=True):
    """An event as receivers get it. `number` is that of its line in the audit trail, `timestamp` is RFC 3339."""

    type: str
    number: int
    timestamp: str
    data: EventData


class Occurred(NamedTuple):
    """A published event, and when it happened, in epoch milliseconds."""

    at: int
    event: PublishedEvent


class EventPage(NamedTuple):
    """Published events in order, and the number up to which there are no others: the next page begins after it."""

    events: list[Occurred]
    last: int


def events_after(store: Store, after: int, limit: int = SCANNED, subject_prefix: str = "") -> EventPage:
    """The published events after a number. A page may be empty although later ones exist: go on after its `last`.

    With a subject prefix only events of keys whose subject begins so.
    """
    records = store.audit_after(after, SCANNED)
    last = records[-1].n if len(records) == SCANNED else max(after, store.last_audit())
    found = [record for record in records if record.event in PUBLISHED]
    if subject_prefix:
        found = _of_subjects(store, found, subject_prefix)
    if len(found) > limit:
        last = found[limit - 1].n
    return EventPage([Occurred(record.at, published(record)) for record in found[:limit]], last)


def published(record: AuditRecord) -> PublishedEvent:
    """A line of the audit trail as receivers get it."""
    data = EventData(record.key_id, record.grant_id, record.actor, record.address, record.detail)
    return PublishedEvent(record.event, record.n, rfc3339(record.at), data)


def rfc3339(at: int) -> str:
    """An instant in epoch milliseconds as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of_subjects(store: Store, records: list[AuditRecord], prefix: str) -> list[AuditRecord]:
    keys = store.keys_of_ids(sorted({each.key_id for each in records if each.key_id}))
    theirs = {key_id for key_id, key in keys.items() if key.subject.startswith(prefix)}
    return [each for each in records if each.key_id in theirs]
