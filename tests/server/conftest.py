"""The real application in process: no socket, no waiting, a clock that the test advances."""

from contextlib import AsyncExitStack

import httpx2
import jwt
import pytest

from hourpass.core.actor import Actor
from hourpass.core.api_key import _checksum, new_api_key
from hourpass.server.keys.api_keys import revoke_key
from hourpass.testing import InMemoryServer


class Server(InMemoryServer):
    """The in-memory server, with an HTTP client in front of it."""

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx2.AsyncClient:
        """A client that seems to connect from an address."""
        transport = httpx2.ASGITransport(app=self.app, client=(address, 50_000))
        return httpx2.AsyncClient(transport=transport, base_url=self.settings.issuer, headers=headers)

    async def later(self, seconds: float) -> None:
        """Let time pass, and have the server look up what happened meanwhile, as it does several times a second."""
        self.clock.advance(seconds)
        await self.app.issuer.verification.observe(self.clock())

    async def tokens(self, **key: object) -> tuple[str, str]:
        """The first pair of a new key: access token and refresh token."""
        pair = await self.exchange(await self.create_key(**key))
        return pair.access_token.decode(), pair.refresh_token.decode()

    async def revoke_key(self, api_key: str) -> None:
        """End a key, as `hourpass keys revoke` does in another process, and have the server take note."""
        policy, now = self.settings.policy(), self.clock()
        await self.app.issuer.ledger.run(
            lambda store: revoke_key(store, key_id_of(api_key), now, policy, Actor("test"))
        )
        await self.later(0)


@pytest.fixture
async def start():
    """A factory of servers, each with the settings given: `server = await start(retry_window=0)`."""
    async with AsyncExitStack() as running:

        async def start(**settings) -> Server:
            return await running.enter_async_context(Server(**settings))

        yield start


@pytest.fixture
async def server(start):
    """A server with the default settings."""
    return await start()


@pytest.fixture
def http(server):
    """A client of that server."""
    return server.client()


def key_id_of(api_key: str) -> str:
    return api_key.split("_")[2]


def claims_of(token: str | bytes) -> dict:
    """The claims of a token, good or bad."""
    return jwt.decode(token, options={"verify_signature": False})


def other_secret(api_key: str) -> str:
    """A well-formed key with the same id, whose secret is a guess."""
    body = api_key[:-6]
    body = body[:-1] + ("a" if body[-1] != "a" else "b")
    return body + _checksum(body)


def nobodys_key() -> str:
    """A well-formed key that no server ever made."""
    return new_api_key("production", bytes(range(32)))[1]
