"""For the PostgreSQL tests: the run's servers, an empty database for each test, stores that end with it."""

import json
import os
import socket
from base64 import b64encode
from pathlib import Path

import psycopg
import pytest
from tests.conftest import clean_environment, run_command
from tests.postgres.cluster import clusters_of

from hourpass.server.endpoints.app import App
from hourpass.server.run.running import Running
from hourpass.server.settings.settings import Settings
from hourpass.server.store.postgres import PostgresStore
from hourpass.testing import Clock

NOW = 1_800_000_000_000
MASTER_KEY = b64encode(bytes(range(32))).decode()


@pytest.fixture
def clusters(request):
    """All servers of this test run. `clusters.new()` is a private one."""
    return clusters_of(request.config)


@pytest.fixture
def cluster(clusters):
    """The server that the tests share, of the newest version."""
    return clusters.shared(18)


class Database:
    """A database of the test's own. Its stores are closed with the test."""

    remote = True

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.name = cluster.create_database()
        self.url = cluster.url(self.name)
        self.stores: list[PostgresStore] = []

    def open(self, **more: str) -> PostgresStore:
        """A store before any migration, with more of its URL as keywords."""
        self.stores.append(PostgresStore(self.cluster.url(self.name, **more)))
        return self.stores[-1]

    def connect(self) -> PostgresStore:
        store = self.open()
        store.migrate(NOW)
        return store

    def run(self, sql: str, *parameters: object) -> list[tuple]:
        return self.cluster.run(sql, self.name, *parameters)

    def close(self) -> None:
        for store in self.stores:
            store.rollback()
            store.close()


@pytest.fixture
def database(cluster):
    database = Database(cluster)
    yield database
    database.close()


@pytest.fixture
def own_database(clusters):
    """A database on a server of the test's own, which it may stop and freeze."""
    cluster = clusters.new()
    database = Database(cluster)
    yield database
    database.close()
    cluster.stop()


class LocalNode:
    """A server in this process, whose background work runs when the test says so."""

    def __init__(self, url: str, data: Path, clock: Clock) -> None:
        settings = Settings(data=str(data), database_url=url, issuer="http://hourpass.test", master_key=MASTER_KEY)
        self.running = Running(settings, {}, clock)
        self.app = App(settings, self.running)

    @property
    def pruned(self) -> int:
        return self.app.counts["grants_pruned"]


class LocalNodes:
    """Starts servers in this process on one database, with one clock."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self.clock = Clock()
        self.started: list[LocalNode] = []

    async def __call__(self, name: str) -> LocalNode:
        node = LocalNode(self._url, self._folder / name, self.clock)
        await node.app.start()
        await node.running.background.stop()
        self.started.append(node)
        return node


@pytest.fixture
async def local_nodes(database, tmp_path):
    nodes = LocalNodes(database.url, tmp_path)
    yield nodes
    for node in nodes.started:
        await node.app.stop()


class Nodes:
    """Servers on one database, and the command beside them. All know the master key from their environment.

    They reach it by another URL if one is given.
    """

    def __init__(self, serve, database: Database, data: Path, *, url: str | None = None) -> None:
        self._serve = serve
        self._data = data
        self._database = database
        self._url = url or database.url
        self.environment = {"HOURPASS_MASTER_KEY": b64encode(os.urandom(32)).decode()}
        self.running: list = []

    def start(self, output: int | None = None, environment: dict[str, str] | None = None, **flags: object):
        flags = {"database": self._url, "issuer": "https://auth.example.com", "exchange_limit": 0, **flags}
        environment = {**self.environment, **(environment or {})}
        self.running.append(self._serve(environment=environment, output=output, **flags))
        return self.running[-1]

    def command(self, *arguments: str) -> str:
        where = ("--data", str(self._data), "--database", self._url)
        return run_command(*arguments, *where, env=clean_environment(**self.environment)).stdout

    def create_key(self) -> dict[str, str]:
        return json.loads(self.command("keys", "create", "--name", "test", "--json"))

    def generations(self) -> dict[str, int]:
        """The row of every grant that is not revoked."""
        with psycopg.connect(self._database.url) as db:
            rows = db.execute("select encode(grant_id, 'hex'), generation from grants where revoked_at is null")
            return dict(rows.fetchall())


@pytest.fixture
def nodes(serve, own_database, tmp_path):
    return Nodes(serve, own_database, tmp_path / "command")


@pytest.fixture
def manager():
    """The socket of a service manager, and what a server needs to know of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0hourpass-workers-{os.getpid()}")
        receiver.settimeout(30)
        yield receiver, {"NOTIFY_SOCKET": f"@hourpass-workers-{os.getpid()}", "WATCHDOG_USEC": "2000000"}


def manager_told(receiver, wanted: str) -> list[str]:
    """The lines that the service manager is told, up to the wanted one."""
    lines: list[str] = []
    while not any(line.startswith(wanted) for line in lines):
        lines += receiver.recv(4096).decode().splitlines()
    return lines
