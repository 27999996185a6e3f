"""The SQL in `sql/`: named queries, and numbered migrations that are applied once and never altered."""

import hashlib
import re
from collections.abc import Collection
from importlib import resources
from typing import NamedTuple

from hourpass.core.errors import ConfigurationError
from hourpass.server.store.rows import COLUMNS

_PLACE = re.compile(r"\{(\?|\w+\.)?(\w+)\}")
"""Where columns go, or a parameter for each of them."""


def load_queries(dialect: str | None = None) -> dict[str, str]:
    """The named queries, name -> SQL; those that a dialect has in words of its own take their places."""
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
        """The oldest program that can live with it, by the number of the newest migration that program knows.

        The first line of its file says so, as `-- oldest: 0001`. Without that line older programs cannot live with it.
        """
        stated = _OLDEST.match(self.sql)
        return int(stated[1]) if stated else number(self.name)


class Applied(NamedTuple):
    """A migration as a database remembers it. `oldest` is None if the program that applied it recorded none."""

    name: str
    checksum: str
    oldest: int | None


class Compared(NamedTuple):
    """A database's schema beside this program's."""

    pending: list[Migration]
    """What this program would apply."""

    newer: list[str]
    """The names of what a newer program applied, with which this one can live."""


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
    """It recognises a migration that was altered after it had been applied."""
    return hashlib.sha256(sql.encode()).hexdigest()


def compare(dialect: str, applied: Collection[Applied]) -> Compared:
    """What a database lacks, and what it has beyond this program.

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
