"""Every store passes this suite. A new kind of database joins by a class like those below and a line in a list."""

import hashlib
from typing import ClassVar

import apsw
import psycopg
import pytest
from tests.postgres.cluster import NEWEST, clusters_of

from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.grant import Grant
from hourpass.server.store import Store
from hourpass.server.store.postgres import PostgresStore
from hourpass.server.store.sqlite import SqliteStore

NOW = 1_800_000_000_000
KEY = "0aZkey000001"


class SqliteInMemory:
    """A database that only its one connection can see."""

    remote = False

    def __init__(self, folder, config) -> None:
        self._opened: list[Store] = []

    def connect(self) -> Store:
        """A store with the newest schema. All of them are closed with the test."""
        store = self._open()
        self._opened.append(store)
        store.migrate(NOW)
        return store

    def _open(self) -> Store:
        return SqliteStore(":memory:")

    def close(self) -> None:
        for store in self._opened:
            store.rollback()
            store.close()


class SqliteOnFile(SqliteInMemory):
    """A database that several connections share, and that can be looked at from outside."""

    def __init__(self, folder, config) -> None:
        super().__init__(folder, config)
        self.path = folder / "hourpass.db"
        self.url = f"sqlite:{self.path}"

    def _open(self) -> Store:
        return SqliteStore(self.path)

    def dump(self) -> dict[str, list[dict[str, object]]]:
        """Every row of every table."""
        db = apsw.Connection(str(self.path))
        db.row_trace = lambda cursor, row: dict(zip((column[0] for column in cursor.description), row, strict=True))
        tables = [row["name"] for row in db.execute("select name from sqlite_schema where type = 'table'")]
        rows = {table: db.execute(f'select * from "{table}"').fetchall() for table in tables}
        db.close()
        return rows

    def raw(self) -> bytes:
        """The bytes of all its files, with deleted rows that are not yet overwritten."""
        return b"".join(file.read_bytes() for file in sorted(self.path.parent.glob(self.path.name + "*")))

    def written(self) -> int:
        """Grows if anything is written to the row that everybody polls."""
        return len(self.raw())


EMPTY = """
delete from grants; delete from api_keys; delete from key_secrets; delete from slow_hashes;
delete from key_leaks; delete from stats; delete from measured;
delete from key_hashes; delete from key_uses; delete from signing_keys; delete from secrets; delete from leases;
delete from revocations; delete from audit; delete from webhooks; delete from webhook_deliveries;
delete from audit_chain; delete from sign_ins; delete from one_time_links;
delete from idempotent_calls;
update control set version = 0, last_revocation = 0, last_audit = 0
"""


class Postgres(SqliteInMemory):
    """A database on the test run's server of the newest version, emptied after each test."""

    remote = True
    version = NEWEST
    more: ClassVar[dict[str, str]] = {}

    def __init__(self, folder, config) -> None:
        super().__init__(folder, config)
        self.cluster = clusters_of(config).shared(self.version)
        self.name = self.cluster.kept_database("contract")
        self.url = self.cluster.url(self.name, **self.more)

    def _open(self) -> Store:
        return PostgresStore(self.url)

    def close(self) -> None:
        super().close()
        self.cluster.run(EMPTY, self.name)

    def dump(self) -> dict[str, list[dict[str, object]]]:
        """Every row of every table."""
        with psycopg.connect(self.url, row_factory=psycopg.rows.dict_row) as db:
            tables = [
                row["tablename"] for row in db.execute("select tablename from pg_tables where schemaname = 'public'")
            ]
            return {table: db.execute(f'select * from "{table}"').fetchall() for table in tables}

    def raw(self) -> bytes:
        """The bytes of the database's files and of the server's log of writes."""
        self.cluster.run("checkpoint")
        ((oid,),) = self.cluster.run("select oid from pg_database where datname = %s", "postgres", self.name)
        folders = [self.cluster.data / "base" / str(oid), self.cluster.data / "pg_wal"]
        return b"".join(file.read_bytes() for folder in folders for file in sorted(folder.rglob("*")) if file.is_file())

    def written(self) -> int:
        """Grows if anything is written to the row that everybody polls."""
        return int(self.cluster.run("select xmin::text from control", self.name)[0][0])


class PostgresBefore(Postgres):
    """The major version before the newest."""

    version = NEWEST - 1


class PostgresSerializable(Postgres):
    """The strictest isolation, in which a transaction may fail at any moment because another one was in its way."""

    more: ClassVar[dict[str, str]] = {"options": "-c%20default_transaction_isolation%3Dserializable"}


SHARED = [SqliteOnFile, Postgres, PostgresBefore, PostgresSerializable]


@pytest.fixture(params=[SqliteInMemory, *SHARED])
def database(request, tmp_path):
    """A database of each kind."""
    database = request.param(tmp_path, request.config)
    yield database
    database.close()


@pytest.fixture(params=SHARED)
def shared(request, tmp_path):
    """A database of each kind that several processes can use at once."""
    database = request.param(tmp_path, request.config)
    yield database
    database.close()


@pytest.fixture
def exclusive(request, tmp_path):
    """A database that has one writer at a time, for all tables."""
    database = SqliteOnFile(tmp_path, request.config)
    yield database
    database.close()


@pytest.fixture
def store(database):
    """A store inside a transaction that writes."""
    store = database.connect()
    store.begin(wait=True)
    return store


def make_grant(number: int = 1, **members) -> Grant:
    """A live grant. Its number is its id."""
    plain = Grant(
        grant_id=number.to_bytes(16, "big"),
        key_id=KEY,
        generation=0,
        seed=number.to_bytes(16, "little"),
        superseded=(),
        scope=None,
        created_at=NOW,
        idle_expires_at=NOW + 1_000,
        expires_at=NOW + 2_000,
    )
    return plain._replace(**members)


def rotated(grant: Grant, at: int = NOW + 5) -> Grant:
    """The grant one generation on."""
    return grant._replace(
        generation=grant.generation + 1, superseded=(at, *grant.superseded), idle_expires_at=grant.idle_expires_at + 7
    )


def make_key(key_id: str = KEY, **members) -> ApiKey:
    """An API key with every optional member absent."""
    plain = ApiKey(
        key_id=key_id,
        name="a name – with a dash",
        subject=key_id,
        scope="",
        environment="production",
        audience=None,
        retry_window=None,
        allowed_ips=(),
        created_at=NOW,
        secrets=(KeySecret(hashlib.sha256(key_id.encode()).digest(), 0, NOW),),
    )
    return plain._replace(**members)
