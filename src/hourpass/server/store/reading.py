"""What both stores read in the same way: a named query's rows become the core's values."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from hourpass.core.api_key import ApiKey
from hourpass.core.audit import Event, event_name
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.revocation import Kind, Revocation
from hourpass.core.signing_key import SigningKey
from hourpass.server.store import AuditRecord, Control, Expiry, Moved, Row, StoredSigningKey


class Reading(ABC):
    """The part of a store whose statements take and give the same in every dialect."""

    @abstractmethod
    def _rows(self, name: str, *parameters: Any) -> list[Row]:
        """The rows of a named query. Raises StorageUnavailable."""

    def cautions(self) -> list[str]:
        """What speaks against this database: nothing."""
        return []

    def prove_writable(self) -> None:
        """Write what changes nothing."""
        self._rows("prove_writable")

    def find_grant(self, grant_id: bytes) -> Grant | None:
        """One grant by its id alone, by looking at all of them."""
        rows = self._rows("find_grant", grant_id)
        return read_grant(rows[0]) if rows else None

    def count_grants(self, key_id: str) -> int:
        """How many grants of a key are not revoked."""
        return int(self._rows("count_grants", key_id)[0][0])

    def grant_ages(self, key_id: str) -> list[GrantAge]:
        """What decides which grants of a key are closed first."""
        return [GrantAge(*row) for row in self._rows("grant_ages", key_id)]

    def grants_page(self, after: GrantRef, limit: int) -> list[Grant]:
        """Grants in the order of their keys and ids."""
        return [read_grant(row) for row in self._rows("grants_page", *after, limit)]

    def grants_of_key(self, key_id: str, after: bytes, limit: int) -> list[Grant]:
        """A key's grants in the order of their ids."""
        return [read_grant(row) for row in self._rows("grants_of_key", key_id, after, limit)]

    def expiries_page(self, after: GrantRef, limit: int) -> list[Expiry]:
        """What pruning has to know."""
        rows = self._rows("expiries_page", *after, limit)
        return [Expiry(GrantRef(key_id, grant_id), *rest) for key_id, grant_id, *rest in rows]

    def key(self, key_id: str) -> ApiKey | None:
        """One API key."""
        rows = self._rows("key", key_id)
        return read_key(rows[0]) if rows else None

    def keys_page(self, after: str, limit: int) -> list[ApiKey]:
        """API keys in the order of their ids."""
        return [read_key(row) for row in self._rows("keys_page", after, limit)]

    @abstractmethod
    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store several grants' ends."""

    def revoke_grant(self, grant: Grant) -> bool:
        """Store a grant's end by decision."""
        return bool(self.revoke_grants([grant]))

    @abstractmethod
    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Put entries into the revocation list."""

    def add_revocation(self, kind: Kind, value: str, until: int) -> Revocation:
        """Put an entry into the revocation list."""
        return self.add_revocations([(kind, value, until)])[0]

    @abstractmethod
    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events, each with its instant, to the audit trail."""

    def append_audit(self, at: int, events: Sequence[Event]) -> None:
        """Append events of one instant to the audit trail."""
        self.append_lines([(at, event) for event in events])

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""
        return [Revocation(*row) for row in self._rows("revocations_after", n, now)]

    def audit_after(self, n: int, limit: int) -> list[AuditRecord]:
        """The audit trail after a number."""
        rows = self._rows("audit_after", n, limit)
        return [AuditRecord._make((*row[:5], msgspec.json.decode(row[5]))) for row in rows]

    def last_audit(self) -> int:
        """The newest number of the audit trail."""
        return int(self._rows("last_audit")[0][0])

    def moved(self) -> Moved | None:
        """Where the installation was moved to."""
        rows = self._rows("moved")
        return Moved(*rows[0]) if rows else None

    def mark_moved(self, moved: Moved) -> None:
        """Note where it was moved to."""
        self._rows("mark_moved", *moved)

    def unmark_moved(self) -> bool:
        """Forget that it was moved."""
        return bool(self._rows("unmark_moved"))

    def control(self) -> Control:
        """What every process polls."""
        return Control(*self._rows("control")[0])

    def look(self) -> Control:
        """What every process polls."""
        return self.control()

    def secrets(self, name: str) -> list[tuple[str, bytes]]:
        """The sealed secrets of a name, newest first."""
        return [(kid, sealed) for kid, sealed in self._rows("secrets", name)]

    def signing_keys(self) -> list[StoredSigningKey]:
        """All signing keys."""
        return [StoredSigningKey(SigningKey(*row[:5]), row[5]) for row in self._rows("signing_keys")]


_encode = msgspec.json.Encoder().encode


def audit_row(at: int, event: Event) -> tuple[int, str, str | None, str | None, str]:
    """A line of the audit trail as its columns after the number."""
    detail = event._asdict()
    key_id, grant_id = detail.pop("key_id", None), detail.pop("grant_id", None)
    return at, event_name(event), key_id, grant_id, _encode(detail).decode()


@cache
def _instants(count: int) -> struct.Struct:
    return struct.Struct(f">{count}q")


def pack(instants: Sequence[int]) -> bytes:
    """Instants as 8 bytes each."""
    return _instants(len(instants)).pack(*instants) if instants else b""


def read_grant(row: Row) -> Grant:
    """A grant from its columns."""
    superseded = row[4]
    instants = _instants(len(superseded) // 8).unpack(superseded) if superseded else ()
    return Grant._make((*row[:4], instants, *row[5:]))


def read_key(row: Row) -> ApiKey:
    """An API key from its columns."""
    return ApiKey._make((*row[:8], tuple(str(row[8]).split()), *row[9:]))
