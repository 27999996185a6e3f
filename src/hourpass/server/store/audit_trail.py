"""The audit trail and its chain in a database: the questions about them, and how a line is a row."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple, Protocol

import msgspec

from hourpass.core.actor import Actor
from hourpass.core.audit import Event
from hourpass.core.audit_chain import Ends, Line
from hourpass.core.audit_filter import FOREVER, AuditFilter
from hourpass.core.audit_folding import Admitted
from hourpass.core.event_names import event_name, name_before, name_now
from hourpass.core.policy import DAY, MINUTE
from hourpass.server.store.connection import ENDLESS, Row
from hourpass.server.store.control import ControlStore

CLOCKS_APART = 5 * MINUTE
"""Milliseconds by which a line of the audit trail may be older than one with a lower number: nodes have clocks."""

SURELY_APART = DAY
"""The same where no line may be missed. What is older by its number is not looked at for an instant."""

_ADDRESSES = ("address", "retried_from")
"""What older programs named the address of an event's caller."""

_encode = msgspec.json.Encoder().encode


class AuditRecord(NamedTuple):
    """One line of the audit trail. `at` is epoch milliseconds, `detail` holds the other members of the event.

    `actor` is None only if an older program did not note one.
    """

    n: int
    at: int
    event: str
    actor: str | None
    address: str | None
    request_id: str | None
    key_id: str | None
    grant_id: str | None
    detail: dict[str, object]


_DETAIL = AuditRecord._fields.index("detail")


class AuditRow(NamedTuple):
    """A line of the audit trail before it has its number. `at` is epoch milliseconds, `detail` is JSON."""

    at: int
    event: str
    actor: str
    address: str | None
    request_id: str | None
    key_id: str | None
    grant_id: str | None
    detail: str


class Sieve(Protocol):
    """Says which lines of the audit trail a process writes, so that no client fills it."""

    def sift(self, lines: Sequence[tuple[int, Event]]) -> tuple[list[tuple[int, Event]], list[Admitted]]:
        """The lines to write, and what was decided about them."""

    def take_back(self, admitted: Sequence[Admitted]) -> None:
        """The transaction of these lines failed."""


class AuditStore(ControlStore):
    """What is asked about the audit trail. With a `sieve`, not every line of it is written."""

    sieve: Sieve | None = None
    _sifted: tuple[Admitted, ...] = ()

    def append_audit(self, at: int, events: Sequence[Event]) -> None:
        """Append events to the audit trail, all with the same instant."""
        self.append_lines([(at, event) for event in events])

    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant, with consecutive numbers."""
        if self.sieve is not None:
            lines, sifted = self.sieve.sift(lines)
            self._sifted += tuple(sifted)
        if lines:
            self._add_lines(lines)

    @abstractmethod
    def _add_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant."""

    def _keep_sifted(self) -> None:
        self._sifted = ()

    def _undo_sifted(self) -> None:
        if self.sieve is not None and self._sifted:
            self.sieve.take_back(self._sifted)
        self._sifted = ()

    def audit_after(self, n: int, limit: int) -> list[AuditRecord]:
        """The audit trail after a number."""
        return [read_audit(row) for row in self._rows("audit_after", n, limit)]

    def newest_audit(self, wanted: AuditFilter, limit: int, before: int = ENDLESS, above: int = 0) -> list[AuditRecord]:
        """The newest lines of the audit trail between two numbers that are wanted, oldest first.

        For instants it finds by the numbers where to look, which are in the order of time up to a day.
        """
        event, old = name_now(wanted.event), name_before(name_now(wanted.event))
        before, above = self._audit_between(wanted, before, above)
        others = (wanted.actor, wanted.actor, wanted.since, wanted.until, before, above, limit)
        events = (event, event, old)
        if wanted.grant_id:
            key = (wanted.key_id, wanted.key_id)
            rows = self._rows("newest_audit_of_grant", wanted.grant_id, *key, *events, *others)
        elif wanted.key_id:
            rows = self._rows("newest_audit_of_key", wanted.key_id, *events, *others)
        elif event:
            search = {**wanted._asdict(), "before": before, "above": above, "limit": limit}
            found = [self._rows_named("newest_audit_of_event", {**search, "event": name}) for name in (event, old)]
            rows = sorted((row for each in found for row in each), reverse=True, key=itemgetter(0))[:limit]
        else:
            rows = self._rows("newest_audit", *others)
        return [read_audit(row) for row in reversed(rows)]

    def audit_floor(self, wanted: AuditFilter, distance: int, before: int = ENDLESS) -> int:
        """The number of a line down to which a search looks, without that line, if it is to read `distance` lines.

        These are the lines of the wanted key or event, or else all lines, between the wanted instants. 0 if there are
        not more of them, and for a grant, which never has many.
        """
        before, above = self._audit_between(wanted, before, 0)
        if wanted.grant_id:
            return 0
        if wanted.key_id:
            rows = self._rows("audit_floor_of_key", wanted.key_id, before, above, distance)
        elif event := name_now(wanted.event):
            search = {"before": before, "above": above, "distance": distance}
            found = [
                self._rows_named("audit_floor_of_event", {**search, "event": name})
                for name in (event, name_before(event))
            ]
            rows = [row for each in found for row in each]
        else:
            floor, first = min(before - 1, self.control().last_audit) - distance, self.first_audit()
            return floor if first is not None and floor > above and floor >= first else 0
        return max((n for (n,) in rows), default=0)

    def _audit_between(self, wanted: AuditFilter, before: int, above: int) -> tuple[int, int]:
        """Before and above which numbers the lines of the wanted instants are."""
        if wanted.since > 0:
            above = max(above, self._number_at(wanted.since - SURELY_APART) - 1)
        if wanted.until < FOREVER:
            before = min(before, self._number_at(wanted.until + SURELY_APART))
        return before, above

    def count_audit(self, event: str, since: int) -> int:
        """How many lines tell of an event since an instant.

        It finds where to begin by the numbers, which are in the order of time up to `CLOCKS_APART`.
        """
        return sum(int(n) for (n,) in self._since("count_audit", event, since))

    def count_audit_keys(self, event: str, since: int) -> int:
        """How many API keys the lines tell of that `count_audit` counts."""
        return len({key_id for (key_id,) in self._since("audit_keys", event, since)})

    def _since(self, query: str, event: str, since: int) -> Iterator[Row]:
        search = {"begin": self._number_at(since - CLOCKS_APART), "since": since}
        for name in (event, name_before(event)):
            yield from self._rows_named(query, {**search, "event": name})

    def _number_at(self, at: int) -> int:
        """A number from which all lines of an instant and later are."""
        low, high = 0, self.control().last_audit + 1
        while low < high:
            middle = (low + high) // 2
            rows = self._rows("audit_at", middle)
            if not rows or rows[0][1] >= at:
                high = middle
            else:
                low = rows[0][0] + 1
        return low

    def first_audit(self) -> int | None:
        """The number of the oldest row of the audit trail, None if it is empty."""
        first: int | None = self._rows("first_audit")[0][0]
        return first

    def delete_audit_to(self, n: int) -> int:
        """Prune the audit trail up to a number. Returns how many rows that were."""
        return self._run("delete_audit_to", n)

    @abstractmethod
    def audit_lines(self, first: int, limit: int) -> list[Line]:
        """The rows of the audit trail from a number on, with all the columns that the table has, known or not."""

    @abstractmethod
    def set_audit_macs(self, macs: Sequence[tuple[int, bytes]], at: int) -> None:
        """Chain rows of the audit trail: keep the MACs of these numbers, and when they were made."""

    def audit_ends(self) -> Ends | None:
        """Where the chain of the audit trail begins and ends, None if it did not begin."""
        rows = self._rows("audit_ends")
        return Ends._make(rows[0]) if rows else None

    def save_audit_ends(self, ends: Ends) -> None:
        """Note where the chain of the audit trail begins and ends."""
        self._run("save_audit_ends", *ends)


def audit_row(at: int, event: Event) -> AuditRow:
    """A line of the audit trail as its columns. What an event need not have, and has not, is not in its detail."""
    optional = event._field_defaults
    detail = {name: value for name, value in event._asdict().items() if value is not None or name not in optional}
    actor: Actor = detail.pop("actor")
    key_id, grant_id = detail.pop("key_id", None), detail.pop("grant_id", None)
    return AuditRow(at, event_name(event), *actor, key_id, grant_id, _encode(detail).decode())


def read_audit(row: Row) -> AuditRecord:
    """A line of the audit trail from its columns. In a line of an older program, the detail says who did it."""
    record = AuditRecord._make(row)
    record = record._replace(event=name_now(record.event))
    detail = msgspec.json.decode(row[_DETAIL])
    if record.actor is not None:
        return record._replace(detail=detail)
    actor, addresses = detail.pop("actor", None), [detail.pop(name, None) for name in _ADDRESSES]
    return record._replace(actor=actor, address=next(filter(None, addresses), None), detail=detail)
