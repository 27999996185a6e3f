"""What a copy of an installation needs beside its rows: the counters, and a mark in what was moved."""

from abc import abstractmethod
from typing import NamedTuple

from hourpass.server.store.connection import DatabaseConnection


class Numbers(NamedTuple):
    """The counters of a database: the version of the keys, and the last numbers given to revocations and audit lines.

    `numbered_since` is when the numbering of revocations began without a break, 0 if the database does not keep it.
    """

    version: int
    last_revocation: int
    last_audit: int
    numbered_since: int


class Moved(NamedTuple):
    """When (epoch milliseconds) an installation was moved, and the name of the database that it was moved to."""

    at: int
    target: str


class CopyStore(DatabaseConnection):
    """What is asked about a whole installation."""

    def numbers(self) -> Numbers:
        """The counters of this database."""
        return Numbers._make(self._rows("numbers")[0])

    @abstractmethod
    def go_on_from(self, numbers: Numbers) -> None:
        """Set the counters to those of another database."""

    def moved(self) -> Moved | None:
        """Where the installation was moved to, None if it is still here."""
        rows = self._rows("moved")
        return Moved._make(rows[0]) if rows else None

    def mark_moved(self, moved: Moved) -> None:
        """Note where the installation was moved to."""
        self._rows("mark_moved", *moved)

    def unmark_moved(self) -> bool:
        """Forget that the installation was moved. False if it was not."""
        return bool(self._rows("unmark_moved"))
