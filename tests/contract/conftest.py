"""Every store passes this suite. A new kind of database joins by a class like those below and a line in a list."""

import apsw
import pytest

from hourpass.core.api_key import ApiKey
from hourpass.core.grant import Grant
from hourpass.server.store import Store
from hourpass.server.store.sqlite import SqliteStore

NOW = 1_800_000_000_000
KEY = "0aZkey000001"


class SqliteInMemory:
    """A database that only its one connection can see."""

    def __init__(self, folder) -> None:
        self._opened: list[Store] = []

    def connect(self) -> Store:
        """A store with the newest schema; all of them are closed with the test."""
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

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.path = folder / "hourpass.db"
        self.url = f"sqlite:{self.path}"

    def _open(self) -> Store:
        return SqliteStore(self.path)

    def dump(self) -> dict[str, list[tuple]]:
        """Every row of every table."""
        db = apsw.Connection(str(self.path))
        tables = [name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")]
        rows = {table: db.execute(f'select * from "{table}"').fetchall() for table in tables}
        db.close()
        return rows

    def raw(self) -> bytes:
        """The bytes of all its files, with whatever was deleted and not yet overwritten."""
        return b"".join(file.read_bytes() for file in sorted(self.path.parent.glob(self.path.name + "*")))


@pytest.fixture(params=[SqliteInMemory, SqliteOnFile])
def database(request, tmp_path):
    """A database of each kind."""
    database = request.param(tmp_path)
    yield database
    database.close()


@pytest.fixture(params=[SqliteOnFile])
def shared(request, tmp_path):
    """A database of each kind that several processes can use at once."""
    database = request.param(tmp_path)
    yield database
    database.close()


@pytest.fixture
def store(database):
    """A store inside a transaction that writes."""
    store = database.connect()
    store.begin(wait=True)
    return store


def make_grant(number: int = 1, **members) -> Grant:
    """A live grant; its number is its id."""
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
        digest=bytes(range(32)),
        subject=key_id,
        scope="",
        environment="production",
        audience=None,
        retry_window=None,
        allowed_ips=(),
        created_at=NOW,
    )
    return plain._replace(**members)
