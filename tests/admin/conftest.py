"""The admin API of a server in memory, and callers with each role."""

import httpx2
import pytest

from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.testing import InMemoryServer

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
