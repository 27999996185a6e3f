"""The admin API of a server in memory and on each kind of database, and callers with each role."""

from contextlib import AsyncExitStack

import httpx2
import pytest
from tests.postgres.cluster import NEWEST, clusters_of
from tests.server.conftest import Server, key_id_of

from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.testing import Clock, InMemoryServer

ISSUER = "http://hourpass.test"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with InMemoryServer() as server:
        yield server


class Admin:
    """The admin listener. `called(…)` makes an admin key and returns a client that has its token."""

    def __init__(self, server: InMemoryServer) -> None:
        self._server = server
        self.app = AdminApp(server.app, "127.0.0.1:3601")

    async def called(self, role: str = "owner", **members: str) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.app, client=("127.0.0.1", 1))
        client = httpx2.AsyncClient(transport=transport, base_url="http://admin/admin/v1/")
        api_key = await self._server.create_key(admin=role, **members)
        pair = await client.post("http://admin/auth/api-key", json={"apiKey": api_key})
        client.headers["authorization"] = f"Bearer {pair.json()['access_token']}"
        return client


@pytest.fixture
async def admin(server):
    admin = Admin(server)
    yield admin
    await admin.app.close()


@pytest.fixture
async def owner(admin):
    return await admin.called("owner")


@pytest.fixture
async def delegated(admin):
    """A caller who has the subjects that begin with acme/, and the scope videos.read."""
    return await admin.called("operator", subject_prefix="acme/", max_scope="videos.read")


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def later(server: InMemoryServer, seconds: float) -> None:
    """Let time pass, and the server notice it."""
    server.clock.advance(seconds)
    await server.app.issuer.verification.observe(server.clock())


MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class AdminServer(Server):
    """The in-memory server with its admin listener, and admin keys that call it."""

    async def __aenter__(self):
        await super().__aenter__()
        self.admin_app = AdminApp(self.app, "127.0.0.1:3601")
        self.admin = self.admin_client()
        return self

    async def __aexit__(self, *error):
        await self.admin.aclose()
        await self.admin_app.close()
        await super().__aexit__(*error)

    def admin_client(self, address: str = "127.0.0.1", **headers: str) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.admin_app, client=(address, 50_000))
        return httpx2.AsyncClient(transport=transport, base_url="http://admin", headers=headers)

    async def caller(self, role: str = "owner", **members) -> "Caller":
        """A new admin key, exchanged."""
        return await self.caller_with(await self.create_key(admin=role, **members))

    async def caller_with(self, api_key: str, **request) -> "Caller":
        answer = await self.admin.post("/auth/api-key", json={"apiKey": api_key, **request})
        token = answer.raise_for_status().json()["access_token"]
        return Caller(self, api_key, token)


class Caller:
    """Calls the admin API with the token of an admin key."""

    def __init__(self, server: AdminServer, api_key: str, token: str) -> None:
        self.server = server
        self.api_key = api_key
        self.key_id = key_id_of(api_key)
        self.token = token

    async def __call__(self, method: str, path: str, *, once: str | None = None, **options) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if once is not None:
            headers["idempotency-key"] = once
        return await self.server.admin.request(method, f"/admin/v1{path}", headers=headers, **options)

    async def get(self, path: str, **options) -> httpx2.Response:
        return await self("GET", path, **options)

    async def post(self, path: str, **options) -> httpx2.Response:
        return await self("POST", path, **options)

    async def patch(self, path: str, **options) -> httpx2.Response:
        return await self("PATCH", path, **options)


@pytest.fixture(params=["memory", "file", "postgres"])
def kind(request):
    """Each kind of database: in memory all goes through the ledger, else the administration has its own thread."""
    return request.param


@pytest.fixture
def place(kind, request, tmp_path):
    """The settings of a new database of that kind."""
    if kind == "memory":
        return {}
    if kind == "file":
        return {"database_url": f"sqlite:{tmp_path / 'hourpass.db'}", "master_key": MASTER_KEY}
    cluster = clusters_of(request.config).shared(NEWEST)
    return {"database_url": cluster.url(cluster.create_database()), "master_key": MASTER_KEY}


@pytest.fixture
async def start():
    """A factory of servers, each with the settings given."""
    async with AsyncExitStack() as running:

        async def start(clock: Clock | None = None, **settings) -> AdminServer:
            return await running.enter_async_context(AdminServer(clock, **settings))

        yield start


@pytest.fixture
async def anywhere(start, place):
    """A server on each kind of database."""
    return await start(**place)


@pytest.fixture
async def here(start):
    """A server in memory, for what has nothing to do with the database."""
    return await start()
