"""Loads the SQL in `sql/`: named queries, and numbered migrations that are applied once and never altered."""

import hashlib
import re
from collections.abc import Collection
from importlib import resources
from typing import NamedTuple

from hourpass.core.errors import ConfigurationError
from hourpass.server.store.rows import COLUMNS

_PLACE = re.compile(r"\{(\?|\w+\.)?(\w+)\}")
"""A place for columns, such as `{Grant}`, or with a question mark for one parameter each, such as `{?Grant}`."""


def load_queries(dialect: str | None = None) -> dict[str, str]:
    """The named queries, name -> SQL. If the dialect has a query of the same name, that one is used."""
    folder = resources.files("hourpass.server.store").joinpath("sql")
    text = folder.joinpath("queries.sql").read_text("utf-8")
    if dialect is not None:
        text += folder.joinpath(dialect, "queries.sql").read_text("utf-8")
    queries = {}
    for block in text.split("-- name: ")[1:]:
        name, _, rest = block.partition("\n")
        sql = "\n".join(line for line in rest.splitlines() if not line.startswith("--")).strip()
        queries[name.strip()] = _PLACE.sub(_columns, sql)
    return queries


def _columns(place: re.Match[str]) -> str:
    prefix = place[1] or ""
    return ", ".join("?" if prefix == "?" else prefix + column for column in COLUMNS[place[2]])


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


_OLDEST = re.compile(r"-- oldest: (\d{4})\n")


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
