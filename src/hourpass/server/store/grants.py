"""Grants in a database: the questions about them, and how a grant is a row."""

import struct
from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from hourpass.core.grant import Grant, GrantRef, keys_of_grant
from hourpass.core.grant_room import GrantAge
from hourpass.server.store.connection import ENDLESS, DatabaseConnection, Row

FIRST_GRANT, LAST_GRANT = GrantRef("", b""), GrantRef("~", b"")
"""What sorts before and after every grant: the ids of keys have only letters and digits."""

ROOM = 100
"""How many rows show that there is room: they take more than a page of 8 KiB."""

_SUPERSEDED = Grant._fields.index("superseded")


class GrantSearch(NamedTuple):
    """Which grants to look for: those of one key or of all, in a state as `state_of` names it or in any.

    `distance` is how many grants to look at, at most.
    """

    now: int
    distance: int
    state: str | None = None
    key_id: str | None = None


class Expiry(NamedTuple):
    """What pruning must know about a grant."""

    ref: GrantRef
    idle_expires_at: int
    expires_at: int
    revoked_at: int | None


class GrantStore(DatabaseConnection):
    """What is asked about grants."""

    @abstractmethod
    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Store new grants."""

    @abstractmethod
    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """Those of these grants that exist."""

    @abstractmethod
    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """Read grants and lock them: nobody else changes them until the end of this transaction.

        Returns those that exist and are locked now, and the references of those that another transaction holds. It
        never waits for one.
        """

    def find_grant(self, grant_id: bytes) -> Grant | None:
        """One grant by its id alone: that tells how its key's id begins, or else the grant is in an index."""
        between = keys_of_grant(grant_id)
        rows = [] if between is None else self._rows("find_grant_between", *between, grant_id)
        rows = rows or self._rows("find_unnamed_grant", grant_id)
        return read_grant(rows[0]) if rows else None

    @abstractmethod
    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants, each with the generation it was decided on.

        Returns those that another transaction changed meanwhile. The caller must read and decide them again.
        """

    def revoke_grant(self, grant: Grant) -> bool:
        """Store that a grant is revoked. False if it was revoked before or does not exist."""
        return bool(self.revoke_grants([grant]))

    @abstractmethod
    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store that grants are revoked. Returns those that exist and were not revoked before."""

    @abstractmethod
    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants. Returns how many. One that another transaction holds is left for a later time."""

    def count_grants(self, key_id: str) -> int:
        """How many grants of a key are not revoked."""
        return int(self._rows("count_grants", key_id)[0][0])

    def count_live_grants(self, now: int, opened_before: int = ENDLESS) -> int:
        """How many grants of all keys are neither revoked nor expired. It reads all of them."""
        return int(self._rows("count_live_grants", now, now, opened_before)[0][0])

    def count_grants_in_use(self, now: int, after: GrantRef = FIRST_GRANT, until: GrantRef = LAST_GRANT) -> int:
        """How many grants can refresh: of all keys, or of those behind `after` up to `until`. It reads each of them."""
        return int(self._rows("count_grants_in_use", *after, *until, now, now, now)[0][0])

    def grant_ages(self, key_id: str) -> list[GrantAge]:
        """What decides which grants of a key are closed first."""
        return [GrantAge._make(row) for row in self._rows("grant_ages", key_id)]

    def grants_page(self, after: GrantRef, limit: int, last_key: str = LAST_GRANT.key_id) -> list[Grant]:
        """Grants up to the last one of a key, in the order of their keys and ids."""
        return [read_grant(row) for row in self._rows("grants_page", *after, last_key, limit)]

    def find_grants(self, wanted: GrantSearch, after: GrantRef, limit: int) -> list[Grant]:
        """Grants after one that a search may want, in the order of their keys and ids, as far as it looks.

        It returns all in the state that it looks for, and may return others. The caller decides about each.
        """
        last = LAST_GRANT.key_id if wanted.key_id is None else wanted.key_id
        bounds = {"after_key": after.key_id, "after_id": after.grant_id, "last_key": last, "limit": limit}
        return [read_grant(row) for row in self._rows_named("find_grants", {**wanted._asdict(), **bounds})]

    def grant_after(self, after: GrantRef, distance: int, key_id: str | None = None) -> GrantRef | None:
        """The grant of one key, or of all, that is so many after one. None if there are fewer."""
        rows = self._rows("grant_after", *after, LAST_GRANT.key_id if key_id is None else key_id, distance - 1)
        return GrantRef._make(rows[0]) if rows else None

    def count_grants_after(self, after: GrantRef, most: int, key_id: str) -> int:
        """How many grants of a key come after one of its own, `most` at most."""
        return int(self._rows("count_grants_after", *after, key_id, most)[0][0])

    def expiries_page(self, after: GrantRef, limit: int) -> list[Expiry]:
        """What pruning must know, in the order of the keys and ids."""
        rows = self._rows("expiries_page", *after, limit)
        return [
            Expiry(GrantRef(key_id, grant_id), idle_expires_at, expires_at, revoked_at)
            for key_id, grant_id, idle_expires_at, expires_at, revoked_at in rows
        ]

    def prove_room(self) -> None:
        """Write as much as a few clients do, and take it back in the same transaction: more than a page, in any state.

        An update may fit into the pages that are there, also on a full disk.

        Raises:
            DiskFull, StorageUnavailable: if it cannot be written.
        """
        grants = [Grant(number.to_bytes(16), "", 0, bytes(16), (), None, 0, 0, 0) for number in range(ROOM)]
        self.add_grants(grants)
        self.delete_grants([grant.ref for grant in grants])


def grant_row(grant: Grant) -> list[Any]:
    """A grant as its columns."""
    row: list[Any] = list(grant)
    row[_SUPERSEDED] = pack(grant.superseded)
    return row


def read_grant(row: Row) -> Grant:
    """A grant from its columns."""
    values = list(row)
    superseded = values[_SUPERSEDED]
    values[_SUPERSEDED] = _instants(len(superseded) // 8).unpack(superseded) if superseded else ()
    return Grant._make(values)


def pack(instants: Sequence[int]) -> bytes:
    """Instants (epoch milliseconds) as 8 bytes each."""
    return _instants(len(instants)).pack(*instants) if instants else b""


@cache
def _instants(count: int) -> struct.Struct:
    return struct.Struct(f">{count}q")
