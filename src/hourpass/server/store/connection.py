"""What every question to a database goes through: transactions and named statements, and what can go wrong with them.

`sqlite_connection.py` and `postgres_connection.py` carry it out.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from hourpass.core.errors import StorageUnavailable

Row = tuple[Any, ...]

ENDLESS = 2**62
"""An instant that never comes, or as many milliseconds."""


class TransactionConflict(StorageUnavailable):
    """This transaction conflicted with another one and is undone. The same transaction may succeed if tried again."""


class DiskFull(StorageUnavailable):
    """The database has no space left to write."""


class Unreachable(StorageUnavailable):
    """The database cannot be connected to."""


class DatabaseConnection(ABC):
    """One connection to a database. It belongs to one thread at a time. Each method may raise `StorageUnavailable`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its kind and place, for people: `sqlite:PATH` or `postgresql://HOST:PORT/NAME`, never user or password."""

    @abstractmethod
    def begin(self, *, wait: bool) -> bool:
        """Start a transaction that writes. Of those that wait, only one runs at a time, over all processes.

        False if `wait` is false and another writer is at work that this one cannot run beside.
        """

    @abstractmethod
    def begin_reading(self) -> None:
        """Start a transaction that reads one moment of the database. It never waits, and nobody waits for it."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make a statement fail that waits for a frozen database. Only this method may be called by another thread."""

    def cautions(self) -> list[str]:
        """Warnings for the operator about this database server: what does not work with it, or was never tested."""
        return []

    @abstractmethod
    def maintain(self) -> None:
        """Work to do beside the transactions, such as checkpoints. Runs in a thread of its own."""

    @abstractmethod
    def close(self) -> None:
        """Close the database."""

    @abstractmethod
    def _commit(self) -> None:
        """Make the transaction durable."""

    @abstractmethod
    def _rollback(self) -> None:
        """Undo the transaction, if there is one. Never raises."""

    @abstractmethod
    def _rows(self, name: str, *parameters: Any) -> list[Row]:
        """The rows of a named query. Raises StorageUnavailable."""

    @abstractmethod
    def _rows_named(self, name: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a query whose parameters have names. Raises StorageUnavailable."""

    @abstractmethod
    def _fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows of a query. Raises StorageUnavailable."""

    @abstractmethod
    def _run(self, name: str, *parameters: Any) -> int:
        """How many rows a named statement changed. Raises StorageUnavailable."""

    @abstractmethod
    def _run_many(self, name: str, rows: Sequence[Row]) -> None:
        """Run a named statement once for each row of parameters. Raises StorageUnavailable."""

    @abstractmethod
    def _run_script(self, sql: str) -> None:
        """Run the statements of a migration. Raises StorageUnavailable."""
