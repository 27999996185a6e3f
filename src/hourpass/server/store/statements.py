"""The SQL in `sql/`: named queries, and numbered migrations that are applied once and never altered."""

import hashlib
from collections.abc import Mapping
from importlib import resources

from hourpass.core.errors import ConfigurationError


def load_queries(dialect: str | None = None) -> dict[str, str]:
    """The named queries, name -> SQL; those that a dialect has in words of its own take their places."""
    folder = resources.files("hourpass.server.store").joinpath("sql")
    text = folder.joinpath("queries.sql").read_text("utf-8")
    if dialect is not None:
        text += folder.joinpath(dialect, "queries.sql").read_text("utf-8")
    queries = {}
    for block in text.split("-- name: ")[1:]:
        name, _, rest = block.partition("\n")
        queries[name.strip()] = "\n".join(line for line in rest.splitlines() if not line.startswith("--")).strip()
    return queries


def load_migrations(dialect: str) -> list[tuple[str, str]]:
    """The numbered migrations of a dialect, in order: `(name, SQL)`."""
    folder = resources.files("hourpass.server.store").joinpath("sql", dialect, "migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files]


def checksum(sql: str) -> str:
    """By which a migration is recognised that was altered after it had been applied."""
    return hashlib.sha256(sql.encode()).hexdigest()


def unapplied(dialect: str, applied: Mapping[str, str]) -> list[tuple[str, str]]:
    """The migrations that a database still lacks: `(name, SQL)`. `applied` maps names to checksums.

    Raises:
        ConfigurationError: where the database is newer than this program, or an applied migration was altered.
    """
    migrations = load_migrations(dialect)
    unknown = applied.keys() - {name for name, _ in migrations}
    if unknown:
        raise ConfigurationError(f"the database is newer than this program: it has migration {max(unknown)}")
    for name, sql in migrations:
        if name in applied and applied[name] != checksum(sql):
            raise ConfigurationError(f"migration {name} was altered after it had been applied")
    return [(name, sql) for name, sql in migrations if name not in applied]
