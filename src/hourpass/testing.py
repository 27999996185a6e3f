"""Public helpers for tests: a clock that you advance, a server in memory, keys and tokens.

    async with InMemoryServer() as server:
        api_key = await server.create_key(scope="videos.read")
        pair = await server.exchange(api_key)
        server.clock.advance(3600)

`server.app` is the ASGI application, for any HTTP client that can call one in the same process.
"""

import os
import tempfile
from types import TracebackType
from typing import Any, Self

from hourpass.core.actor import Actor
from hourpass.core.token_request import TokenRequest
from hourpass.server.endpoints.app import App
from hourpass.server.issuing.minting import TokenPair
from hourpass.server.keys.api_keys import create_key
from hourpass.server.serve import create_app
from hourpass.server.settings.settings import Settings

START = 1_800_000_000_000
"""The instant at which a test's clock starts, in epoch milliseconds: a round number."""


class Clock:
    """A clock that stands still until you advance it. Call it for the epoch milliseconds."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """The current instant."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1000)


class InMemoryServer:
    """The real application on a database in memory, with its own clock. Keyword arguments are settings."""

    def __init__(self, clock: Clock | None = None, **settings: Any) -> None:
        self.clock = Clock() if clock is None else clock
        self._folder = tempfile.TemporaryDirectory(prefix="hourpass-test-")
        self.settings = Settings(
            **{
                "data": self._folder.name,
                "database_url": "sqlite::memory:",
                "issuer": "http://hourpass.test",
                **settings,
            }
        )
        self.app: App = create_app(self.settings, clock=self.clock, environ={})

    async def __aenter__(self) -> Self:
        """Start it."""
        try:
            await self.app.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, and remove its folder."""
        await self.app.stop()
        self._folder.cleanup()

    async def create_key(self, *, name: str = "test", **members: Any) -> str:
        """Make an API key. Keyword arguments are those of `hourpass.server.keys.api_keys.create_key`."""
        issuer, now = self.app.issuer, self.clock()
        members = {"prefix": self.settings.key_prefix, **members}
        new = await issuer.ledger.run(
            lambda store: create_key(
                store, issuer.secrets.pepper, name=name, now=now, random=os.urandom, actor=Actor("test"), **members
            )
        )
        return new.api_key

    async def exchange(self, api_key: str, **request: Any) -> TokenPair:
        """Exchange an API key, as `POST /auth/api-key` does."""
        return await self.app.issuer.exchange(api_key, TokenRequest(**request), None, self.clock())

    async def refresh(self, refresh_token: bytes | str, **request: Any) -> TokenPair:
        """Refresh, as `POST /auth/refresh` does."""
        token = refresh_token.decode() if isinstance(refresh_token, bytes) else refresh_token
        return await self.app.issuer.refresh(token, TokenRequest(**request), None, self.clock())
