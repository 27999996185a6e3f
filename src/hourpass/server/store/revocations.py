"""The revocation list in a database."""

from abc import abstractmethod
from collections.abc import Sequence

from hourpass.core.revocation import Kind, Revocation
from hourpass.server.store.connection import DatabaseConnection

NewRevocation = tuple[Kind, str, int, int | None]
"""An entry of the revocation list before it has its number."""


class RevocationStore(DatabaseConnection):
    """What is asked about the revocation list."""

    def add_revocation(self, kind: Kind, value: str, until: int) -> Revocation:
        """Add an entry to the revocation list. It gets the next number."""
        return self._add_entries([(kind, value, until, None)])[0]

    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Add entries (kind, value, until) to the revocation list, with consecutive numbers."""
        return self._add_entries([(*entry, None) for entry in entries])

    def end_tokens_of_key(self, key_id: str, issued_before: int, until: int) -> Revocation:
        """Put an entry into the revocation list that refuses a key's tokens from before an epoch second."""
        return self._add_entries([("key", key_id, until, issued_before)])[0]

    @abstractmethod
    def _add_entries(self, entries: Sequence[NewRevocation]) -> list[Revocation]:
        """Put entries into the revocation list, under numbers that follow each other."""

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""
        return [Revocation._make(row) for row in self._rows("revocations_after", n, now)]

    def prune_revocations(self, now: int) -> None:
        """Delete the entries whose tokens have all expired."""
        self._run("prune_revocations", now)
