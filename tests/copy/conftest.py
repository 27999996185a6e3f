"""Two databases for each copy, of every pair of kinds, and an installation in which every kind of row occurs."""

import os

import pytest
from tests.contract.conftest import NOW, SqliteOnFile, make_grant, make_key, rotated
from tests.postgres.cluster import NEWEST, clusters_of
from tests.postgres.conftest import Database

from hourpass.core.actor import Actor
from hourpass.core.grant import revoke
from hourpass.core.key_events import KeyRevoked
from hourpass.core.signing_key import SigningKey
from hourpass.server.keys.audit_chain import begin_chain
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.store import Store, transaction
from hourpass.server.store.sealed import StoredSigningKey
from hourpass.server.store.tables import TABLES

DIRECTIONS = ["sqlite to postgres", "postgres to sqlite", "sqlite to sqlite", "postgres to postgres"]
MASTER = MasterKey(bytes(range(32)))


class Postgres(Database):
    """A database of the test's own on the test run's server."""

    def rows(self, sql: str) -> list[tuple]:
        """The rows that a statement finds, or nothing if it changes something."""
        return self.run(sql)


class Sqlite(SqliteOnFile):
    """A file of the test's own."""

    def __init__(self, folder, config) -> None:
        folder.mkdir()
        super().__init__(folder, config)
        self.path.touch(mode=0o600)  # as the server makes it under any umask

    def open(self) -> Store:
        """A store as it is before anything was migrated."""
        self._opened.append(self._open())
        return self._opened[-1]

    def rows(self, sql: str) -> list[tuple]:
        """The rows that a statement finds, or nothing if it changes something."""
        import apsw

        db = apsw.Connection(str(self.path))
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


class Pair:
    """A database to copy from, with the newest schema, and one to copy to, without any."""

    def __init__(self, direction: str, folder, config) -> None:
        names = direction.split(" to ")
        self.source, self.target = (
            Sqlite(folder / role, config)
            if name == "sqlite"
            else Postgres(clusters_of(config).shared(NEWEST))
            for role, name in zip(("source", "target"), names, strict=True)
        )  # fmt: skip

    def close(self) -> None:
        self.source.close()
        self.target.close()


@pytest.fixture(params=DIRECTIONS)
def pair(request, tmp_path):
    """Two databases of each pair of kinds."""
    pair = Pair(request.param, tmp_path, request.config)
    yield pair
    pair.close()


@pytest.fixture(params=DIRECTIONS[:2])
def mixed(request, tmp_path):
    """Two databases of different kinds."""
    pair = Pair(request.param, tmp_path, request.config)
    yield pair
    pair.close()


RAW = {
    "slow_hashes": [("sk_live_", "0aZkey000002", "bcrypt", "$2b$12$…", NOW)],
    "key_hashes": [("sha256", NOW)],
    "key_leaks": [(b"\x01" * 32, "0aZkey000002", NOW)],
    "key_uses": [("0aZkey000002", "raw", NOW, b"\x7f\0\0\1"), ("0aZkey000002", "refreshed", NOW, None)],
    "stats": [(NOW // 60_000, node, *range(11)) for node in ("a", "b")],
    "measured": [("live_grants", 7, NOW)],
    "expiry_notices": [(30, NOW, "~"), (0, NOW, "0aZkey000002")],
    "idempotent_calls": [
        (b"\x01" * 32, b"f", b"s", NOW, 201, '[["etag","x"]]', '{"ü":""}'.encode(), 4, b"\xff"),
        (b"\x02" * 32, b"f", b"s", NOW, None, None, None, None, None),
    ],
    "webhooks": [("wh_1", "https://a/", "", "", NOW, "00@7", 3, 1, NOW, NOW, "gone")],
    "webhook_deliveries": [("wh_1", NOW, 2, "key.created", "status", 503, 12), ("wh_1", NOW, 3, "e", "tls", None, 0)],
}


def fill(database, *, grants: int = 5) -> Store:
    """An installation with a row of every kind: absent and present members, texts beyond ASCII, numbers with gaps."""
    store = database.connect()
    with transaction(store):
        store.add_secret("pepper", "1", MASTER.seal("pepper", bytes(32)), NOW)
        store.add_secret("import_hmac", "k1", MASTER.seal("import_hmac k1", b"the provider's"), NOW)
        for kid in ("first", "second"):
            store.add_secret("refresh", kid, MASTER.seal(f"refresh secret {kid}", bytes(32)), NOW)
            key = SigningKey(kid, "ES256", NOW, NOW + 600)
            store.add_signing_key(StoredSigningKey(key, MASTER.seal(f"signing key {kid}", bytes(32))))
        store.retire_signing_key("first", NOW + 600)
        store.add_key(make_key())
        store.add_key(
            make_key("0aZkey000002", name='Zeile\\n"\t\n', audience="x", retry_window=0, allowed_ips=("::1/128",))
        )
        store.revoke_key("0aZkey000002", NOW + 1)
        for table in TABLES:
            if table.name in RAW:
                store.add_rows(table, RAW[table.name])
        live = [make_grant(number, scope=[None, "", "a b"][number % 3]) for number in range(1, grants + 1)]
        store.add_grants(live)
        store.save_rotations([(0, rotated(live[0]))])
        store.revoke_grant(revoke(live[1], NOW + 2, "revoked"))
        begin_chain(store, MASTER, NOW, os.urandom)
        store.append_audit(NOW, [KeyRevoked("0aZkey000002", "revoked", Actor("cli:Jürgen"))])
        for number, until in enumerate([NOW + 1, NOW + 9_000, NOW + 1]):
            store.add_revocation("token", f"jti-{number}", until)
        store.prune_revocations(NOW + 2)
    return store


def content(database) -> dict[str, list[tuple]]:
    """Every row of every table that is copied, in the order of the keys."""
    select = {
        table.name: f"select {', '.join(table.columns)} from {table.name} order by {table.key}" for table in TABLES
    }
    return {name: database.rows(sql) for name, sql in select.items()}


def seen(store: Store, look):
    """The rows that a store sees in a transaction of its own."""
    store.begin_reading()
    try:
        return look(store)
    finally:
        store.commit()
