"""A connection to PostgreSQL, through psycopg: transactions, a bound on every wait, and what errors mean.

It knows no table except the row that administrators lock. The URL may hold a password, so it is shown nowhere.
"""

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from hourpass.core.errors import ConfigurationError, StorageUnavailable
from hourpass.server.store.connection import DatabaseConnection, DiskFull, Row, TransactionConflict, Unreachable
from hourpass.server.store.migrations import load_migrations, number
from hourpass.server.store.statements import load_queries

DEFAULTS = {
    # Seconds for each host before it is given up and the next one is tried.
    "connect_timeout": "3",
    # A host that vanished silently is noticed within seconds, not after the kernel's two hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
    # Of several hosts, use the one that takes writes. So the new primary is found after a failover.
    "target_session_attrs": "read-write",
    # With the number of the newest migration that this program knows: others see which nodes are older than they are.
    "application_name": f"hourpass/{number(load_migrations('postgres')[-1].name):04}",
}
"""libpq's parameters for everything that the URL does not set."""

WAITS_AND_PLANS = {
    "lock_timeout": "2000",  # milliseconds to wait for another writer before the caller is told to come back
    "statement_timeout": "5000",
    "idle_in_transaction_session_timeout": "10000",  # so that a server that froze in a transaction unlocks its rows
    "jit": "off",
    # A plan is made once and stays right, however old the statistics are: each row of a batch is looked up by the
    # primary key, in the batch's order. That order keeps two batches from waiting for each other in a circle.
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}
"""The settings of each transaction. If the URL's `options` set one of them, the URL wins."""

DURABILITY = {
    # If the server also waits for its replicas, it keeps doing so.
    "full": "case current_setting('synchronous_commit') when 'off' then 'on' "
    "else current_setting('synchronous_commit') end",
    "normal": "'off'",
}
"""The value of `synchronous_commit` for each durability, in SQL."""

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_-]+)\s*=")

_NAMED = re.compile(r"(?<!:):(\w+)")
"""A parameter with a name, such as `:kind`. Two colons are a cast."""

_Q = {name: _NAMED.sub(r"%(\1)s", sql.replace("?", "%s")) for name, sql in load_queries("postgres").items()}


class PostgresConnection(DatabaseConnection):
    """One connection, made again if the server was restarted or replaced. The repr does not show the URL.

    The URL may name several hosts, certificates, and everything else that libpq knows.

    Raises:
        ConfigurationError: if the URL is not a PostgreSQL URL.
        Unreachable: if none of its hosts can be connected to.
    """

    def __init__(self, url: str, *, durability: Literal["full", "normal"] = "full") -> None:
        try:
            self._parameters: dict[str, Any] = {**DEFAULTS, **conninfo_to_dict(url)}
        except psycopg.Error:
            raise ConfigurationError("database_url: not a PostgreSQL URL") from None
        self._durability = DURABILITY[durability]
        self._connect()
        info = self._db.info
        host = f"[{info.host}]" if ":" in info.host else info.host
        place = f"/{info.dbname}?host={host}" if host.startswith("/") else f"{host}:{info.port}/{info.dbname}"
        self._name = f"postgresql://{place}"

    @property
    def name(self) -> str:
        """Kind and place, without the user and the password."""
        return self._name

    def __repr__(self) -> str:
        """Without the URL."""
        return f"{type(self).__name__}(…)"

    def begin(self, *, wait: bool) -> bool:
        """Start a transaction that writes.

        Of those that wait, only one runs at a time, over all processes. Those that do not wait run beside it and beside
        each other. They are for batches, which compare and swap row by row.
        """
        if wait:
            # Not the database's default: this transaction must see the changes of the one that it waited for.
            self._start("begin isolation level read committed")
            try:
                self._rows("hold_control")
            except StorageUnavailable:
                self._rollback()
                raise
        else:
            self._start("begin")
        return True

    def begin_reading(self) -> None:
        """Start a transaction that reads one moment of the database."""
        self._start("begin isolation level repeatable read read only")

    def _commit(self) -> None:
        """Make the transaction durable."""
        if self._execute("commit").statusmessage != "COMMIT":
            raise StorageUnavailable("PostgreSQL: the transaction had failed before its commit")

    def _rollback(self) -> None:
        """Undo the transaction. If the connection cannot do even that, it is closed, and the server undoes it."""
        try:
            if self._db.info.transaction_status != TransactionStatus.IDLE:
                self._db.execute("rollback")
        except (psycopg.Error, OSError):
            self._db.close()

    def interrupt(self) -> None:
        """Cut the connection, so that a statement in another thread that waits for a frozen server fails at once."""
        with contextlib.suppress(psycopg.Error, OSError):
            line = socket.socket(fileno=self._db.fileno())  # not a new descriptor: none may be left
            try:
                line.shutdown(socket.SHUT_RDWR)
            finally:
                line.detach()

    def maintain(self) -> None:
        """Do nothing: the database server maintains itself."""

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _connect(self) -> None:
        db = None
        try:
            db = psycopg.connect(**self._parameters, autocommit=True, prepare_threshold=1)
            self._db = db
            self._begins_with = ""
            if self._is_pooled():
                # Behind a pooler the next transaction may use another connection, so each one sets everything again.
                self._db.prepare_threshold = None
                self._begins_with = "; " + self._settings(local=True)
            else:
                self._db.execute(self._settings(local=False))
        except (psycopg.Error, OSError) as error:
            if db is not None:
                db.close()  # it does not have our settings, so no transaction may begin on it
            raise Unreachable(_words(error)) from None  # a traceback would show the parameters

    def _is_pooled(self) -> bool:
        """Whether a pooler such as PgBouncer is in between. A pooler reports another process id than the server."""
        serving = self._db.execute("select pg_backend_pid()").fetchone()
        return serving != (self._db.info.backend_pid,)

    def _settings(self, *, local: bool) -> str:
        # A pooler may have dropped the options. Then our own settings are used, so that every wait has an end.
        options = "" if local else self._db.info.options
        given = {name.lower().replace("-", "_") for name in _OPTION.findall(options)}
        values = {name: f"'{value}'" for name, value in WAITS_AND_PLANS.items()}
        values["synchronous_commit"] = self._durability
        ours = (f"set_config('{name}', {value}, {local})" for name, value in values.items() if name not in given)
        return f"select {', '.join(ours)}"

    def _start(self, begin: str) -> None:
        self._first(begin, begins=True)

    def _first(self, sql: str, *, begins: bool = False) -> psycopg.Cursor[Row]:
        """Run a statement outside of any transaction, on a new connection if the old one is gone."""
        with self._errors():
            if not self._db.closed:
                try:
                    return self._db.execute(sql + self._begins_with if begins else sql)
                except (psycopg.OperationalError, OSError):
                    # The server was restarted, or the connection was cut while it was idle.
                    self._db.close()
            self._connect()
            return self._db.execute(sql + self._begins_with if begins else sql)

    def _rows_alone(self, name: str) -> list[Row]:
        """The rows of a named query that is a transaction by itself."""
        return self._first(_Q[name]).fetchall()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate errors. A connection that refuses writes is closed: another server may be the primary by now."""
        with _storage_errors():
            try:
                yield
            except errors.ReadOnlySqlTransaction:
                self._db.close()
                raise

    def _rows(self, name: str, *parameters: Any) -> list[Row]:
        return self._fetch(_Q[name], *parameters)

    def _rows_named(self, name: str, parameters: Mapping[str, Any]) -> list[Row]:
        with self._errors():
            return self._db.execute(_Q[name], parameters, binary=True).fetchall()

    def _fetch(self, sql: str, *parameters: Any) -> list[Row]:
        with self._errors():
            return self._db.execute(sql, parameters, binary=True).fetchall()

    def _batch(
        self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], **others: int
    ) -> psycopg.Cursor[Row]:
        """Run a named statement on one or more rows. They are sent as one array for each column, for `unnest`."""
        arrays = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        with self._errors():
            return self._db.execute(_Q[name], {**arrays, **others}, binary=True)

    def _stream(self, sql: str, rows: Iterable[Row]) -> None:
        """Send rows with PostgreSQL's COPY, which is many times faster than a statement for each row."""
        with self._errors(), self._db.cursor().copy(sql) as stream:
            for row in rows:
                stream.write_row(row)

    def _run(self, name: str, *parameters: Any) -> int:
        """How many rows a statement changed."""
        with self._errors():
            return self._db.execute(_Q[name], parameters).rowcount

    def _run_many(self, name: str, rows: Sequence[Row]) -> None:
        """As a pipeline: the rows do not wait for each other's answers."""
        with self._errors(), self._db.cursor() as cursor:
            cursor.executemany(_Q[name], rows)

    def _run_script(self, sql: str) -> None:
        self._execute(sql)

    def _execute(self, sql: str, parameters: Sequence[Any] | None = None) -> psycopg.Cursor[Row]:
        with self._errors():
            return self._db.execute(sql, parameters)


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (errors.SerializationFailure, errors.DeadlockDetected) as error:
        raise TransactionConflict(_words(error)) from error
    except psycopg.IntegrityError as error:
        # Another transaction took it since this one looked. The next attempt sees that.
        if error.diag.constraint_name in _TAKEN_MEANWHILE:
            raise TransactionConflict(_words(error)) from error
        raise
    except errors.DiskFull as error:
        raise DiskFull(_words(error)) from error
    except (psycopg.Error, OSError) as error:
        raise StorageUnavailable(_words(error)) from error


_TAKEN_MEANWHILE = {"api_keys_external_id", "key_secrets_pkey"}
"""What callers name themselves and what must be unique."""


def _words(error: psycopg.Error | OSError) -> str:
    """The message of the server or the system, without the server's detail, which may quote a row."""
    if isinstance(error, OSError):
        return f"PostgreSQL: connection: {error.strerror or type(error).__name__}"
    said = error.diag.message_primary or str(error).strip().partition("\n")[0]
    return f"PostgreSQL: {error.sqlstate or 'connection'}: {said}"
