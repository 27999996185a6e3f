"""The revocation list in a database."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from hourpass.core.revocation import Kind, Revocation
from hourpass.server.store.connection import DatabaseConnection


class NewRevocation(NamedTuple):
    """An entry of the revocation list before it has its number. The members are those of `Revocation`."""

    kind: Kind
    value: str
    until: int
    issued_before: int | None = None


class RevocationStore(DatabaseConnection):
    """What is asked about the revocation list."""

    def add_revocation(self, kind: Kind, value: str, until: int, issued_before: int | None = None) -> Revocation:
        """Add an entry to the revocation list. It gets the next number."""
        return self.add_revocations([NewRevocation(kind, value, until, issued_before)])[0]

    @abstractmethod
    def add_revocations(self, entries: Sequence[NewRevocation]) -> list[Revocation]:
        """Add entries to the revocation list, with consecutive numbers."""

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""
        return [Revocation._make(row) for row in self._rows("revocations_after", n, now)]

    def prune_revocations(self, now: int) -> None:
        """Delete the entries whose tokens have all expired."""
        self._run("prune_revocations", now)
