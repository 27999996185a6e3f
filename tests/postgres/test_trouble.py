"""A database that goes away, hangs, or comes back somewhere else: 503 meanwhile, and no restart of hourpass afterwards.

contract.md, promise 3: a client must not throw its token away because a database blinked.
"""

import asyncio
import time
from base64 import b64encode

import httpx2
import pytest
from tests.postgres.conftest import Database

from hourpass.core.errors import StorageUnavailable
from hourpass.server.store import transaction
from hourpass.server.store.connection import Unreachable
from hourpass.server.store.postgres import PostgresStore
from hourpass.testing import InMemoryServer

pytestmark = pytest.mark.anyio


class Server(InMemoryServer):
    """The real application in process, with an HTTP client in front."""

    def __init__(self, database, tmp_path) -> None:
        key = b64encode(bytes(range(32))).decode()
        super().__init__(database_url=database.url, data=str(tmp_path), master_key=key)
        transport = httpx2.ASGITransport(app=self.app, client=("127.0.0.1", 50_000))
        self.http = httpx2.AsyncClient(transport=transport, base_url=self.settings.issuer)

    async def post(self, path: str, **body: str) -> httpx2.Response:
        return await self.http.post(path, json=body)

    async def ready(self) -> dict:
        answer = await self.http.get("/health/ready")
        return {**answer.json(), "status": answer.status_code}

    def verify(self, token: bytes) -> str:
        return self.app.issuer.verification.verify(token, self.clock()).sub


@pytest.fixture
async def server(own_database, tmp_path):
    async with Server(own_database, tmp_path) as server:
        yield server


async def ask_everything(server, api_key: str, refresh_token: str) -> list[httpx2.Response]:
    """All at once, but the revocation: a refresh that it overtakes is rightly refused."""
    answers = await asyncio.gather(
        server.post("/auth/api-key", apiKey=api_key),
        server.post("/auth/refresh", refreshToken=refresh_token),
        server.http.post("/oauth/token", data={"grant_type": "refresh_token", "refresh_token": refresh_token}),
    )
    return [*answers, await server.http.post("/oauth/revoke", data={"token": refresh_token})]


async def test_while_the_database_is_away_all_that_needs_it_is_503_and_afterwards_all_goes_on(own_database, server):
    api_key = await server.create_key()
    pair = await server.exchange(api_key)
    own_database.cluster.stop()

    refused = await ask_everything(server, api_key, pair.refresh_token.decode())

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 4
    assert server.verify(pair.access_token)
    away = await server.ready()
    assert (away["status"], away["checks"]["database"]) == (503, "unavailable")

    own_database.cluster.start()
    newer = await server.post("/auth/refresh", refreshToken=pair.refresh_token.decode())
    assert newer.status_code == 200
    assert (await server.ready())["status"] == 200
    assert {answer.status_code for answer in await ask_everything(server, api_key, newer.json()["refresh_token"])} == {
        200
    }


async def test_a_restart_between_two_requests_is_noticed_by_nobody(own_database, server):
    pair = await server.exchange(await server.create_key())
    own_database.cluster.stop()
    own_database.cluster.start()

    answers = await asyncio.gather(
        *(server.post("/auth/refresh", refreshToken=pair.refresh_token.decode()) for _ in range(8))
    )

    assert {answer.status_code for answer in answers} == {200}


async def test_a_database_that_hangs_is_503_in_time_and_then_goes_on(own_database, server):
    for lane in server.app.issuer.ledger._lanes:
        lane.patience = 0.3
    pair = await server.exchange(await server.create_key())
    own_database.cluster.freeze()
    began = time.monotonic()
    try:
        answer = await server.post("/auth/refresh", refreshToken=pair.refresh_token.decode())
        waited = time.monotonic() - began
        verified = server.verify(pair.access_token)
    finally:
        own_database.cluster.thaw()

    assert (answer.status_code, bool(verified)) == (503, True)
    assert waited < 5, "the patience, and then one attempt to connect"
    assert (await server.post("/auth/refresh", refreshToken=pair.refresh_token.decode())).status_code == 200


def test_of_several_hosts_the_one_that_takes_writes_is_found(clusters, own_database):
    """`target_session_attrs=read-write` is the default here: a standby refuses what hourpass does."""
    standby = clusters.new(default_transaction_read_only="on")
    hosts = f"{standby.folder},{own_database.cluster.folder}"
    url = f"postgresql://postgres@/postgres?host={hosts}"

    store = PostgresStore(url)
    store.migrate(1)

    assert own_database.cluster.run("select count(*) from control") == [(1,)]
    standby.stop()
    store.begin(wait=True)
    store.rollback()
    store.close()


def test_after_a_failover_the_next_transaction_is_on_the_new_primary(clusters):
    first, second = clusters.new(), clusters.new()
    store = PostgresStore(f"postgresql://postgres@/postgres?host={first.folder},{second.folder}")
    store.migrate(1)
    first.stop()

    store.begin(wait=False)
    assert store.pending_migrations() != []
    store.rollback()
    store.close()
    second.stop()


async def test_a_host_that_is_not_there_is_unreachable(own_database):
    store = own_database.connect()
    own_database.cluster.stop()

    with pytest.raises(Unreachable):
        store.begin(wait=True)
    with pytest.raises(Unreachable):
        store.begin_reading()
    store.rollback()


async def test_a_commit_of_a_failed_transaction_is_never_taken_for_success(own_database):
    """The server answers such a commit without an error: it says ROLLBACK."""
    store = own_database.connect()
    store.begin(wait=False)
    with pytest.raises(StorageUnavailable):
        store._execute("select 1 / 0")

    with pytest.raises(StorageUnavailable, match="had failed"):
        store.commit()


async def test_a_node_that_froze_in_a_transaction_does_not_keep_its_rows(own_database):
    """The server ends it. The time is shortened here."""
    frozen, other = own_database.connect(), own_database.connect()
    frozen._execute("set idle_in_transaction_session_timeout = 200")
    frozen.begin(wait=True)

    with transaction(other) as store:
        assert store.control().version == 0
    with pytest.raises(StorageUnavailable):
        frozen.control()


def test_every_wait_has_an_end(database):
    store: PostgresStore = database.connect()
    names = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"]

    assert [store._execute(f"show {name}").fetchone() for name in names] == [("2s",), ("5s",), ("10s",)]
    assert isinstance(database, Database)
    assert store._parameters["connect_timeout"] == "3"


@pytest.mark.parametrize(
    ("durability", "default", "expected"),
    [("full", "off", "on"), ("full", "on", "on"), ("full", "remote_apply", "remote_apply"), ("normal", "on", "off")],
)
def test_full_durability_is_at_least_the_disks_and_normal_asks_for_less(database, durability, default, expected):
    database.run(f"alter database {database.name} set synchronous_commit = {default}")
    store = PostgresStore(database.url, durability=durability)

    assert store._execute("show synchronous_commit").fetchone() == (expected,)
    store.close()
