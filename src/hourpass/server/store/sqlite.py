"""The Store on SQLite, through APSW (which carries its own current SQLite).

WAL, `synchronous=FULL`. Checkpoints never run on the request path: the connection that commits has them switched off,
and `maintain` does them on a second one.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import apsw

from hourpass.core.api_key import ApiKey
from hourpass.core.audit import Event
from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Grant, GrantRef
from hourpass.core.revocation import Kind, Revocation
from hourpass.server.store import (
    Control,
    Numbers,
    Row,
    StoredSigningKey,
)
from hourpass.server.store.reading import Reading, audit_row, pack, read_grant
from hourpass.server.store.statements import Applied, Compared, checksum, compare, load_queries
from hourpass.server.store.tables import Table

LOG_WORTH_COPYING = 1_024
"""Pages of 4 KiB in the log below which a checkpoint would only cost a sync."""

LOG_BOUND = 8_192
"""Pages above which the log is started over, which makes the next transaction wait for the few that came since.

It is written from its beginning again, in place: syncing a file that grows takes half as long again, and more CPU.
"""

BUSY_WAIT = 2_000
"""Milliseconds to wait for another writer before the caller is told to come back."""

RESTART_WAIT = 50
"""Milliseconds for which starting the log over may hold up writers, where a reader still needs the old one."""

Value = None | int | float | str | bytes

_Q = load_queries()


class SqliteStore(Reading):
    """One SQLite file. `path` may be `:memory:` for tests; `read_only` leaves what it finds as it is."""

    def __init__(
        self, path: str | Path, *, durability: Literal["full", "normal"] = "full", read_only: bool = False
    ) -> None:
        self._path = str(path)
        self._durability = durability
        self._read_only = read_only
        with _storage_errors():
            self._db = self._connect()
            # One cursor for all: each call of the connection's own `execute` would make another.
            self._execute = self._db.cursor().execute
        self._files: dict[str, tuple[int, int]] = {}
        self._require_files()
        self._log_pages = 0
        self._db.set_wal_hook(self._note_log)
        self._maintenance: apsw.Connection | None = None

    @property
    def name(self) -> str:
        """Kind and place."""
        return f"sqlite:{self._path}"

    def _connect(self) -> apsw.Connection:
        if self._read_only:
            db = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READONLY)
            db.set_busy_timeout(BUSY_WAIT)
            return db
        db = apsw.Connection(self._path)
        db.set_busy_timeout(BUSY_WAIT)
        self._switch_to_wal(db)
        db.execute(f"pragma synchronous = {self._durability}")
        db.execute("pragma wal_autocheckpoint = 0")
        db.execute("pragma cache_size = -65536")
        return db

    def _switch_to_wal(self, db: apsw.Connection) -> None:
        # SQLite's own waiting does not cover this switch, which two first starts make at the same time.
        for _ in range(BUSY_WAIT // 20):
            try:
                db.execute("pragma journal_mode = wal")
            except apsw.BusyError:
                time.sleep(0.02)
            else:
                return
        db.execute("pragma journal_mode = wal")

    def _note_log(self, db: apsw.Connection, schema: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _require_files(self) -> None:
        """StorageUnavailable if the open files are not those at their paths any more: what is written would be lost.

        The log beside the database holds what was committed last; it is there once something was written or read.
        """
        if self._path.startswith(":"):
            return
        for path in (self._path, self._path + "-wal"):
            try:
                found = os.stat(path)  # noqa: PTH116 - after each commit: a Path costs more than the look
            except FileNotFoundError:
                found = None
            except OSError as error:
                raise StorageUnavailable(f"SQLite: cannot look at {path}: {error.strerror}") from error
            known = self._files.get(path)
            if known is None:
                if found is not None:
                    self._files[path] = (found.st_dev, found.st_ino)
            elif found is None or (found.st_dev, found.st_ino) != known:
                raise StorageUnavailable(f"SQLite: {path} was deleted, moved or replaced: put it back, or start again")

    def begin(self, *, wait: bool) -> bool:
        """Start a transaction that writes, at once or after waiting for another process's."""
        try:
            self._db.set_busy_timeout(BUSY_WAIT if wait else 0)
            self._execute("begin immediate")
        except apsw.BusyError as error:
            if wait:
                raise StorageUnavailable("the database is locked by another process") from error
            return False
        except apsw.Error as error:
            raise StorageUnavailable(_words(error)) from error
        return True

    def begin_reading(self) -> None:
        """Start a transaction that sees one moment."""
        self._require_files()
        with _storage_errors():
            self._execute("begin")

    def look(self) -> Control:
        """What every process polls."""
        self._require_files()
        return self.control()

    def commit(self) -> None:
        """Write the log and sync it. What went into files that are not in their places is not kept."""
        with _storage_errors():
            self._execute("commit")
        self._require_files()

    def rollback(self) -> None:
        """Undo; SQLite may have done so itself after an error."""
        with contextlib.suppress(apsw.Error):
            if self._db.in_transaction:
                self._execute("rollback")

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Open grants."""
        with _storage_errors():
            for g in grants:
                self._execute(
                    _ADD_GRANT,
                    (
                        g.grant_id,
                        g.key_id,
                        g.generation,
                        g.seed,
                        pack(g.superseded),
                        g.scope,
                        g.created_at,
                        g.idle_expires_at,
                        g.expires_at,
                    ),
                )

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """The grants that exist among these."""
        execute = self._execute
        found = {}
        with _storage_errors():
            for ref in refs:
                row = execute(_GRANT, ref).fetchone()
                if row is not None:
                    found[ref] = read_grant(row)
        return found

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants; returns those that somebody changed meanwhile."""
        execute, changes = self._execute, self._db.changes
        lost = set()
        with _storage_errors():
            for generation, g in rotations:
                execute(
                    _ROTATE_GRANT,
                    (
                        g.generation,
                        pack(g.superseded),
                        g.idle_expires_at,
                        g.last_from,
                        g.key_id,
                        g.grant_id,
                        generation,
                    ),
                )
                if not changes():
                    lost.add(g.ref)
        return lost

    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """The grants that exist among these. Nobody else holds one: a file has one writer."""
        return self.grants(refs), set()

    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store several grants' ends."""
        return {g.ref for g in grants if self._changed("revoke_grant", g.revoked_at, g.revoked_why, *g.ref)}

    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants."""
        return sum(self._changed("delete_grant", *ref) for ref in refs)

    def add_key(self, key: ApiKey) -> None:
        """Keep a new API key."""
        self._rows(
            "add_key",
            key.key_id,
            key.name,
            key.digest,
            key.subject,
            key.scope,
            key.environment,
            key.audience,
            key.retry_window,
            " ".join(key.allowed_ips),
            key.created_at,
            key.expires_at,
        )
        self._rows("bump_control")

    def revoke_key(self, key_id: str, at: int) -> bool:
        """End an API key."""
        if not self._changed("revoke_key", at, key_id):
            return False
        self._rows("bump_control")
        return True

    def prune_revocations(self, now: int) -> None:
        """Forget entries that can refuse nothing any more."""
        self._rows("prune_revocations", now)

    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Put entries into the revocation list."""
        return [Revocation(self._rows("add_revocation", *entry)[0][0], *entry) for entry in entries]

    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events, each with its instant, to the audit trail."""
        for line in lines:
            self._rows("add_audit", *audit_row(*line))

    def add_secret(self, name: str, kid: str, sealed: bytes, at: int) -> None:
        """Keep a sealed secret."""
        self._rows("add_secret", name, kid, sealed, at)
        self._rows("bump_control")

    def add_signing_key(self, stored: StoredSigningKey) -> None:
        """Keep a signing key."""
        key = stored.key
        self._rows("add_signing_key", key.kid, key.algorithm, key.published_at, key.signs_from, stored.sealed)
        self._rows("bump_control")

    def retire_signing_key(self, kid: str, at: int) -> None:
        """Set when a successor takes over."""
        self._rows("retire_signing_key", at, kid)
        self._rows("bump_control")

    def delete_signing_key(self, kid: str) -> None:
        """Forget a signing key."""
        self._rows("delete_signing_key", kid)
        self._rows("bump_control")

    def count_rows(self, table: Table) -> int:
        """How many rows a table has."""
        return int(self._fetch(table.count_sql)[0][0])

    def rows_page(self, table: Table, after: Row, limit: int) -> list[Row]:
        """A table's rows after a key."""
        return self._fetch(table.page_sql, *after, limit)

    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as another store gave them."""
        with _storage_errors():
            self._db.executemany(table.add_sql, rows)

    def numbers(self) -> Numbers:
        """Where the counting is; since when, the file does not know: each start of a server numbers anew."""
        return Numbers(*self._rows("numbers")[0])

    def go_on_from(self, numbers: Numbers) -> None:
        """Let the counting go on where another store's was."""
        self._rows("set_version", numbers.version)
        for table, last in (("revocations", numbers.last_revocation), ("audit", numbers.last_audit)):
            self._rows("forget_last_number", table)
            self._rows("set_last_number", table, last)

    def migrate(self, now: int) -> list[str]:
        """Apply what is missing, all in one transaction."""
        with _storage_errors():
            self._execute("begin immediate")
            try:
                self._execute(
                    "create table if not exists migrations "
                    "(name text primary key, checksum text not null, applied_at integer not null, oldest integer) "
                    "strict"
                )
                pending = self._compare().pending
                if pending and not self._records_oldest():
                    self._execute("alter table migrations add column oldest integer")
                for each in pending:
                    self._execute(each.sql)
                    self._execute(
                        "insert into migrations (name, checksum, applied_at, oldest) values (?, ?, ?, ?)",
                        (each.name, checksum(each.sql), now, each.oldest),
                    )
                self._execute("commit")
            except BaseException:
                self.rollback()
                raise
        return [each.name for each in pending]

    def pending_migrations(self) -> list[str]:
        """What `migrate` would apply."""
        with _storage_errors():
            return [name for name, _ in self._compare().pending]

    def newer_migrations(self) -> list[str]:
        """What a newer program applied."""
        with _storage_errors():
            return self._compare().newer

    def is_migrated(self) -> bool:
        """Whether `migrate` was ever here."""
        with _storage_errors():
            return bool(self._execute("select 1 from sqlite_schema where name = 'migrations'").fetchall())

    def _compare(self) -> Compared:
        if not self.is_migrated():
            return compare("sqlite", [])
        oldest = "oldest" if self._records_oldest() else "null"
        rows: list[Row] = self._execute(f"select name, checksum, {oldest} from migrations").fetchall()  # noqa: S608
        return compare("sqlite", [Applied(*row) for row in rows])

    def _records_oldest(self) -> bool:
        """Whether the table was made, or added to, by a program that records what each migration states."""
        return bool(self._execute("select 1 from pragma_table_info('migrations') where name = 'oldest'").fetchall())

    def maintain(self) -> None:
        """Copy the log into the database file, and start the log over where it has grown past its bound."""
        if self._log_pages < LOG_WORTH_COPYING:
            return
        self._require_files()  # or a second connection would make a file in their place
        # A writer may be in the way of the very first step, too; the next turn comes soon.
        with _storage_errors(), contextlib.suppress(apsw.BusyError):
            if self._maintenance is None:
                self._maintenance = self._connect()
                self._maintenance.set_busy_timeout(RESTART_WAIT)
            # The long part first, beside the writers; what is left for the part that makes them wait is small.
            pages, copied = self._maintenance.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # Where somebody reads an old moment, such as a copy under way, not all could be copied: a later turn can.
            if copied == pages:
                self._log_pages = 0  # nothing to do until the next commit says how much there is
                if pages >= LOG_BOUND:
                    self._maintenance.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)

    def fold(self) -> None:
        """Put all into the one file, which can then be moved and be read where nothing can be written."""
        with _storage_errors():
            self._execute("pragma journal_mode = delete")
        self._files.pop(self._path + "-wal", None)

    def close(self) -> None:
        """Let go of the file. The last one to close it also copies the log."""
        for db in (self._maintenance, self._db):
            if db is not None:
                db.close()

    def _rows(self, name: str, *parameters: Value) -> list[Row]:
        return self._fetch(_Q[name], *parameters)

    def _fetch(self, sql: str, *parameters: Value) -> list[Row]:
        with _storage_errors():
            return self._execute(sql, parameters).fetchall()

    def _changed(self, name: str, *parameters: Value) -> bool:
        self._rows(name, *parameters)
        return self._db.changes() > 0


_ADD_GRANT = _Q["add_grant"]
_GRANT = _Q["grant"]
_ROTATE_GRANT = _Q["rotate_grant"]


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError:
        raise
    except apsw.Error as error:
        raise StorageUnavailable(_words(error)) from error


def _words(error: apsw.Error) -> str:
    return f"SQLite: {type(error).__name__.removesuffix('Error').lower()}: {error}"
