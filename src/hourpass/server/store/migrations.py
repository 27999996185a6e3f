"""The schema of a database: numbered migrations in `sql/`, which are applied once and never altered."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Collection, Sequence
from importlib import resources
from typing import NamedTuple

from hourpass.core.errors import ConfigurationError
from hourpass.server.store.connection import DatabaseConnection


class Migration(NamedTuple):
    """A numbered step of the schema, applied once and never altered."""

    name: str
    sql: str

    @property
    def oldest(self) -> int:
        """The oldest program that can work with this migration, as the number of the newest migration that it knows.

        The first line of the file states it, as `-- oldest: 0001`. Without that line no older program can.
        """
        stated = _OLDEST.match(self.sql)
        return int(stated[1]) if stated else number(self.name)


class Applied(NamedTuple):
    """A migration as the database remembers it. `oldest` is None if the program that applied it did not record it."""

    name: str
    checksum: str
    oldest: int | None


class Compared(NamedTuple):
    """How a database's schema differs from this program's."""

    pending: list[Migration]
    """The migrations that this program would apply."""

    newer: list[str]
    """The names of the migrations that a newer program applied, and that this program can work with."""


class MigrationStore(DatabaseConnection):
    """What is asked about the schema."""

    @abstractmethod
    def is_migrated(self) -> bool:
        """Whether `migrate` ever ran on this database."""

    @abstractmethod
    def migrate(self, now: int) -> list[str]:
        """Bring the schema up to date. Returns the names of the migrations that were applied.

        Raises:
            ConfigurationError: if this program is too old for the database, or an applied migration was altered.
        """

    def pending_migrations(self) -> list[str]:
        """The names of the migrations that `migrate` would apply. Raises what `migrate` raises."""
        return [name for name, _ in self._compare().pending]

    def newer_migrations(self) -> list[str]:
        """The names of a newer program's migrations that this program can work with. Raises what `migrate` raises."""
        return self._compare().newer

    def need_program(self, number: int) -> None:
        """Note that no older program can live with the migration of this number any more."""
        self._run("need_program", number, f"{number:04}%")

    def older_programs(self, number: int) -> int:
        """How many connections programs have that do not know the migration of this number, as far as that shows."""
        return 0

    @abstractmethod
    def _compare(self) -> Compared:
        """Compare the database's schema with this program's. Raises ConfigurationError and StorageUnavailable."""

    def _apply(self, pending: Sequence[Migration], now: int) -> None:
        for each in pending:
            self._run_script(each.sql)
            self._run("note_migration", each.name, checksum(each.sql), now, each.oldest)


def number(name: str) -> int:
    """The number in a migration's name."""
    return int(name[:4])


def load_migrations(dialect: str) -> list[Migration]:
    """The numbered migrations of a dialect, in order."""
    folder = resources.files("hourpass.server.store").joinpath("sql", dialect, "migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files]


def checksum(sql: str) -> str:
    """The digest by which a migration is recognised that was altered after it had been applied."""
    return hashlib.sha256(sql.encode()).hexdigest()


def compare(dialect: str, applied: Collection[Applied]) -> Compared:
    """Compare the migrations that a database has with those of this program.

    Raises:
        ConfigurationError: if this program is too old for the database, or an applied migration was altered.
    """
    migrations = load_migrations(dialect)
    level = number(migrations[-1].name)
    checksums = {row.name: row.checksum for row in applied}
    newer = [row for row in applied if row.name not in {name for name, _ in migrations}]
    if unknown := [row.name for row in newer if row.oldest is None or row.oldest > level]:
        raise ConfigurationError(f"the database is newer than this program: it has migration {max(unknown)}")
    for name, sql in migrations:
        if name in checksums and checksums[name] != checksum(sql):
            raise ConfigurationError(f"migration {name} was altered after it had been applied")
    return Compared([each for each in migrations if each.name not in checksums], sorted(row.name for row in newer))


_OLDEST = re.compile(r"-- oldest: (\d{4})\n")
