"""Reads the token file of an agent, which keeps the access token in it fresh.

It looks at the file when you use it. It keeps the last valid token even if the file is broken or missing for a while.
It never asks a server for anything.
"""

import base64
import json
import logging
import os
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hourpass.client.agent_token import AgentToken
from hourpass.client.auth.strategy import Breaker
from hourpass.client.credential import Credential, is_token
from hourpass.client.refresh.driver import Waiting, drive, drive_async
from hourpass.client.refresh.reopen import Reopens
from hourpass.clocks import age_clock, wall_clock
from hourpass.core.errors import HourpassError, Unavailable
from hourpass.core.policy import DAY, SECOND
from hourpass.urls import AllowList

_log = logging.getLogger(__name__)

LOOK_EVERY = SECOND
"""A busy program looks at the file no more often than this."""

PATIENCE = 2.0
"""Seconds within which an agent must write a new token after the one in the file was rejected."""

POLL = 50
"""Milliseconds between two looks while a new token is expected."""

MAX_SIZE = 64 * 1024


class FileToken(Reopens):
    """Reads the token from a file that an agent writes. You use it like a TokenSource.

    The file holds the bare token, or JSON with `access_token` and, if it is known, `expires_at` (epoch milliseconds).
    A bare JWT says itself when it expires. The expiry of any other bare token is unknown.
    `origins` are the origins that adapters may send it to.
    `agent` is the socket of the agent that writes the file. The agent is told when an API rejects the token, and
    fetches another at once. Without `agent` a rejected token stays until the agent's next refresh.
    A copy shares it. Unpickling makes a new one in its process.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        origins: Iterable[str] = (),
        agent: str | os.PathLike[str] | None = None,
        allow_http: bool = False,
        clock: Callable[[], int] = age_clock,
        wall: Callable[[], int] = wall_clock,
    ) -> None:
        self.path = Path(path)
        self.breaker = Breaker()
        self.now = clock
        self._wall = wall
        self.allows = AllowList(origins, allow_http=allow_http).allows
        self._agent = None if agent is None else AgentToken(os.fspath(agent))
        self._reported = 0
        """The number of the last token that was reported to the agent as rejected."""
        self._current: Credential | None = None
        self._seen: tuple[int, int, int] | None = None
        self._looked_at: int | None = None

    @property
    def current(self) -> Credential | None:
        """The last valid token, even if it has expired since. Does not look at the file."""
        return self._current

    def token(self, *, min_valid: float = 0, within: float | None = None) -> str:
        """The access token. Errors as for `credential`."""
        return self.credential(min_valid=min_valid, within=within).access_token

    async def token_async(self, *, min_valid: float = 0, within: float | None = None) -> str:
        """As `token`, for asyncio."""
        return self.credential(min_valid=min_valid, within=within).access_token

    def credential(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """The token in the file, or the last valid one that was in it. `min_valid` and `within` are ignored.

        Raises:
            Unavailable: there has been no token, or the last one has expired.
        """
        now = self.now()
        is_due = self._looked_at is None or now - self._looked_at >= LOOK_EVERY
        if is_due or self._current is None or not self._current.is_usable(now):
            self._look(now)
        if self._current is None or not self._current.is_usable(now):
            raise Unavailable("the token file holds no valid token")
        return self._current

    async def credential_async(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """As `credential`, for asyncio. Reading a small file does not block the loop."""
        return self.credential()

    def refresh(self, *, rejected: int | None = None, retry: bool = True, within: float | None = None) -> Credential:
        """Look at once, and for 2 s more (or `within` seconds), for a token newer than the rejected one.

        Raises:
            Unavailable: the agent has not written one.
        """
        return drive(self._wait_for_newer(rejected, retry=retry), PATIENCE if within is None else min(within, PATIENCE))

    async def refresh_async(
        self, *, rejected: int | None = None, retry: bool = True, within: float | None = None
    ) -> Credential:
        """As `refresh`, for asyncio."""
        patience = PATIENCE if within is None else min(within, PATIENCE)
        return await drive_async(self._wait_for_newer(rejected, retry=retry), patience)

    def expires_at(self, credential: Credential) -> int:
        """When a credential of this file expires, in epoch milliseconds."""
        return self._wall() + credential.expires_at - self.now()

    def close(self) -> None:
        """Nothing is held open."""

    def __repr__(self) -> str:
        """With the path alone."""
        return f"FileToken({str(self.path)!r})"

    def _report(self, current: Credential) -> None:
        """Tell the agent that an API rejected this token. Its next token comes into the file."""
        if self._agent is not None and current.number > self._reported:
            self._reported = current.number
            try:
                self._agent.reject(current.access_token, within=PATIENCE)
            except HourpassError as error:
                _log.warning("the agent was not told of a rejected token: %s", error)

    def _wait_for_newer(self, rejected: int | None, *, retry: bool) -> Waiting[Credential]:
        current = self._current
        if current is not None and current.number == rejected:
            self._look(self.now())
            if self._current is current:
                yield partial(self._report, current)
        while True:
            now = self.now()
            self._look(now)
            current = self._current
            if current is not None and current.is_usable(now) and (rejected is None or current.number > rejected):
                return current
            try:
                if not retry:
                    raise TimeoutError
                yield POLL
            except TimeoutError:
                raise Unavailable("no newer token has come into the token file") from None

    def _look(self, now: int) -> None:
        self._looked_at = now
        current = self._current
        good = current if current is not None and current.is_usable(now) else None
        try:
            found = self.path.stat()
            if not stat.S_ISREG(found.st_mode):
                return  # opening a pipe would wait for a writer
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            # Without a valid token even the same content is read again: the clock may have been wrong the last time.
            if seen == self._seen and good is not None:
                return
            with self.path.open("rb") as file:
                content = file.read(MAX_SIZE + 1)
        except OSError:
            # Missing for a moment, or not readable: the last valid token stays.
            return
        self._seen = seen
        token, expires_at = _parse(content, found.st_mtime_ns // 1_000_000)
        lifetime = DAY if expires_at is None else expires_at - self._wall()
        if token is None or lifetime <= 0 or (good is not None and good.access_token == token):
            return
        number = 1 if current is None else current.number + (current.access_token != token)
        self._current = Credential(
            access_token=token,
            refresh_token=None,
            number=number,
            issued_at=now,
            lifetime=lifetime,
            soft=now + lifetime,
            hard=now + lifetime,
        )


def _parse(content: bytes, written_at: int) -> tuple[str | None, int | None]:
    """The token and its expiry. Each is None if it is missing. Instants are epoch milliseconds of this machine."""
    text = content.decode("ascii", "replace").strip()
    if len(content) > MAX_SIZE or not text:
        return None, None
    if text.startswith("{"):
        record = _object(text)
        token, expires_at = record.get("access_token"), record.get("expires_at")
        return token if is_token(token) else None, expires_at if type(expires_at) is int else None
    return (text, _unverified_expiry(text, written_at)) if is_token(text) else (None, None)


def _unverified_expiry(token: str, written_at: int) -> int | None:
    """The expiry that a JWT states (RFC 7519 §4.1.4). It can only make us drop the token, so it needs no proof.

    Its instants are on the server's clock. An agent never writes an expired token. So if the file was written after the
    expiry, this machine's clock is ahead, and the whole lifetime is taken to begin when the file was written.
    """
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = _object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return None
    exp, iat = _instant(claims.get("exp")), _instant(claims.get("iat"))
    if exp is None or iat is None or written_at < exp:
        return exp
    return written_at + min(max(exp - iat, 0), DAY)


def _instant(seconds: object) -> int | None:
    return int(seconds * SECOND) if isinstance(seconds, int | float) and 0 < seconds < 10**11 else None


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
