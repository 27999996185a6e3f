"""A connection to SQLite: files, transactions, and what errors mean. APSW carries its own current SQLite.

It uses WAL and `synchronous=FULL`. Checkpoints never run on the request path: the connection that commits has them
switched off, and `maintain` runs them on a second connection.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import apsw

from hourpass.core.errors import StorageUnavailable
from hourpass.server.store.connection import DatabaseConnection, DiskFull, Row
from hourpass.server.store.statements import load_queries

LOG_WORTH_COPYING = 1_024
"""Pages of 4 KiB. A checkpoint of a shorter log is not worth its sync."""

LOG_BOUND = 8_192
"""Pages. A longer log is written from its beginning again, and the next transaction waits while that is prepared.

The alternative is a file that grows, and syncing one of those takes half as long again, and more CPU.
"""

BUSY_WAIT = 2_000
"""Milliseconds to wait for another writer before the caller is told to come back."""

RESTART_WAIT = 50
"""How many milliseconds writers may wait for the log to be started over while a reader still needs the old one."""

CACHE = 65_536
"""KiB of the file that a server keeps in memory, for each connection."""

SMALL_CACHE = 8_192
"""KiB that are enough for a command which goes through many rows once."""

Value = None | int | float | str | bytes

Q = load_queries()
"""The named SQL."""


class SqliteConnection(DatabaseConnection):
    """One SQLite file. `path` may be `:memory:` for tests. With `read_only` nothing in the file is changed.

    `cache` is how much of the file stays in memory, in KiB.

    Raises:
        StorageUnavailable: if the file cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        durability: Literal["full", "normal"] = "full",
        read_only: bool = False,
        cache: int = CACHE,
    ) -> None:
        self._path = str(path)
        self._durability = durability
        self._read_only = read_only
        self._cache = cache
        with storage_errors():
            self._db = self._connect()
            # One cursor for everything: each call of the connection's own `execute` would make another one.
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
        db.execute(f"pragma cache_size = -{self._cache}")
        return db

    def _switch_to_wal(self, db: apsw.Connection) -> None:
        # SQLite's own busy timeout does not cover this switch, and two first starts may do it at the same time.
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
        """Require that the open files are still the ones at their paths. Otherwise everything written would be lost.

        The log beside the database holds what was committed last. It exists once something was written or read.

        Raises:
            StorageUnavailable: if a file was deleted, moved or replaced.
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
        """Start a transaction that writes. `wait` says whether to wait for the one of another process."""
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
        """Start a transaction that reads one moment of the database."""
        self._require_files()
        with storage_errors():
            self._execute("begin")

    def _commit(self) -> None:
        """Write the log and sync it. Raises StorageUnavailable also if the files are not in their places any more."""
        with storage_errors():
            self._execute("commit")
        self._require_files()

    def _rollback(self) -> None:
        """Undo the transaction. SQLite may have done so itself after an error."""
        with contextlib.suppress(apsw.Error):
            if self._db.in_transaction:
                self._execute("rollback")

    def interrupt(self) -> None:
        """Do nothing: no statement waits for a network."""

    def maintain(self) -> None:
        """Copy the log into the database file, and start the log over if it has grown past its bound."""
        if self._log_pages < LOG_WORTH_COPYING:
            return
        self._require_files()  # or a second connection would make a file in their place
        # A writer may block even the first step. That is fine: the next call comes soon.
        with storage_errors(), contextlib.suppress(apsw.BusyError):
            if self._maintenance is None:
                self._maintenance = self._connect()
                self._maintenance.set_busy_timeout(RESTART_WAIT)
            # The long part comes first and runs beside the writers. The part that makes them wait is then short.
            pages, copied = self._maintenance.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # While a reader needs an old moment, such as a copy under way, not all can be copied. A later call does it.
            if copied == pages:
                self._log_pages = 0  # nothing to do until the next commit says how much there is
                if pages >= LOG_BOUND:
                    self._maintenance.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)

    def fold(self) -> None:
        """Put everything into the one file. You can then move it, and read it in a place that cannot be written to."""
        with storage_errors():
            self._execute("pragma journal_mode = delete")
        self._files.pop(self._path + "-wal", None)

    def close(self) -> None:
        """Close the file. The last connection that closes it also copies the log."""
        for db in (self._maintenance, self._db):
            if db is not None:
                db.close()

    def _rows(self, name: str, *parameters: Value) -> list[Row]:
        return self._fetch(Q[name], *parameters)

    def _rows_named(self, name: str, parameters: Mapping[str, Value]) -> list[Row]:
        with storage_errors():
            return self._execute(Q[name], parameters).fetchall()

    def _fetch(self, sql: str, *parameters: Value) -> list[Row]:
        with storage_errors():
            return self._execute(sql, parameters).fetchall()

    def _run(self, name: str, *parameters: Value) -> int:
        """How many rows a statement changed."""
        self._rows(name, *parameters)
        return self._db.changes()

    def _run_many(self, name: str, rows: Sequence[Row]) -> None:
        with storage_errors():
            self._db.executemany(Q[name], rows)

    def _run_script(self, sql: str) -> None:
        with storage_errors():
            self._execute(sql)


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Turn errors of SQLite into StorageUnavailable, except a broken constraint, which is a bug of ours."""
    try:
        yield
    except apsw.ConstraintError:
        raise
    except apsw.FullError as error:
        raise DiskFull(_words(error)) from error
    except apsw.Error as error:
        raise StorageUnavailable(_words(error)) from error


def _words(error: apsw.Error) -> str:
    return f"SQLite: {type(error).__name__.removesuffix('Error').lower()}: {error}"
