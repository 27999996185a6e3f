"""What the client's commands share: the token source that their options describe, and the exit codes.

This is on the quick path of `hourpass token`, so nothing heavy is imported here. A token goes to stdout or into a
file. Nothing on stderr holds a secret.
"""

import errno
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hourpass.cli.client.api_key_source import ApiKeySource
from hourpass.cli.terminal import say
from hourpass.client.credential import Credential, load_credential
from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.clocks import age_clock, wall_clock
from hourpass.core.errors import ConfigurationError, HourpassError, LockTimeout, LoginRequired, Unavailable
from hourpass.core.policy import SECOND
from hourpass.urls import check_url, origin_of

if TYPE_CHECKING:
    from hourpass.client.agent_token import AgentToken
    from hourpass.client.refresh.cache import Cache
    from hourpass.client.refresh.fetcher import RefreshEvent
    from hourpass.client.source import TokenSource

FAILED = 1
USAGE = 2
STILL_VALID = 10
NO_TOKEN = 20
LOGIN_REQUIRED = 30
LOCK_TIMEOUT = 40

LEAST = 0.001
"""Seconds. Asks for a token that is still valid, without a refresh of one that soon expires."""


def exit_code(error: HourpassError, *, still_valid: bool) -> int:
    """The exit code for an error. LOGIN_REQUIRED comes even while the token is still valid: a person must act."""
    if isinstance(error, LoginRequired):
        return LOGIN_REQUIRED
    if still_valid:
        return STILL_VALID
    if isinstance(error, ConfigurationError):
        return USAGE
    if isinstance(error, LockTimeout):
        return LOCK_TIMEOUT
    return NO_TOKEN if isinstance(error, Unavailable) else FAILED


def complain(error: HourpassError) -> None:
    """Print what went wrong, on stderr."""
    reason = f" ({error.reason})" if isinstance(error, LoginRequired) and error.reason else ""
    say(f"hourpass: {error.detail or error.code.replace('_', ' ')}{reason}")


class Client(NamedTuple):
    """The options of a client's command. `timeout` is in seconds."""

    url: str | None
    allow_http: bool
    api_key: ApiKeySource
    cache: Path | None
    agent: str | None
    scope: str | None
    audience: str | None
    timeout: float

    @property
    def server(self) -> str:
        """The server's URL.

        Raises:
            click.UsageError: it was not given.
            ConfigurationError: a key may not be sent to it.
        """
        if not self.url:
            raise click.UsageError("the server is not known: use --url or HOURPASS_URL")
        return check_url(self.url, allow_http=self.allow_http)

    @property
    def folder(self) -> Path:
        """The folder of the cached tokens.

        Raises:
            ConfigurationError: it was not given, and this user has no home folder.
        """
        if self.cache is None:
            raise ConfigurationError("this user has no home folder to keep tokens in: use --cache or HOURPASS_CACHE")
        return self.cache

    @property
    def cache_path(self) -> Path:
        """The cache file of this server and this token request. If two shared one, each would overwrite the other's."""
        import hashlib

        parts = (self.server, self.scope or "", self.audience or "")
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
        name = re.sub(r"[^a-z0-9.]+", "-", origin_of(self.server) or "")
        return self.folder / f"{name[:80]}-{digest}"

    def source(self, origins: Iterable[str] = ()) -> "TokenSource | AgentToken":
        """Tokens from the agent if one is named, else from the cache and the server. Nothing is read yet."""
        return self.agent_token(origins) if self.agent else self.own_source(origins)

    def agent_token(self, origins: Iterable[str] = ()) -> "AgentToken":
        """Tokens from the agent."""
        from hourpass.client.agent_token import AgentToken

        known = (self.url, *origins) if self.url else origins
        return AgentToken(self.agent or "", origins=known, allow_http=self.allow_http)

    def own_source(self, origins: Iterable[str] = ()) -> "TokenSource":
        """Tokens from the cache and the server."""
        return self.token_source(
            self.api_key,
            cache=self._cache(),
            origins=origins,
            # A moment more than the lock and the server get, so that the error names which of them took too long.
            timeout=self.timeout + 0.1,
            patience=self._patience,
            observe=self._observe,
        )

    def token_source(self, api_key: ApiKeySource, **more: Any) -> "TokenSource":
        """A TokenSource with what the options say, and `more` of its arguments."""
        from hourpass.client.source import TokenSource

        return TokenSource(
            self.server,
            api_key.read,
            key_name=api_key.name(),
            scope=self.scope,
            audience=self.audience,
            allow_http=self.allow_http,
            **more,
        )

    @property
    def _patience(self) -> float:
        """Seconds for the lock and the server. A part of `timeout` is left for the command to start and end."""
        return self.timeout - min(0.2, self.timeout / 10)

    def _cache(self) -> "Cache":
        """The cache in the folder, or one in memory if there is no folder for it."""
        if self.cache is None:
            complain(ConfigurationError("this user has no home folder, so the token is not cached: see --cache"))
            return MemoryCache()
        try:
            is_writable = _is_writable(self.cache)
        except OSError as error:
            # For example HOME is another user's, left there by sudo or a container.
            complain(ConfigurationError(f"{self.cache} cannot be used, so the token is not cached: {error.strerror}"))
            return MemoryCache()
        return _Cache(self.cache_path, self._patience) if is_writable else _ReadOnlyCache(self.cache_path)

    def _observe(self, event: "RefreshEvent") -> None:
        if event == "unsaved":
            complain(ConfigurationError(f"the new token cannot be written to {self.cache_path}"))

    def cached(self) -> Credential | None:
        """The credential in the cache, valid or not. None if there is none.

        Raises:
            ConfigurationError: the cache cannot be read.
        """
        content = FileCache(self.cache_path).read()
        try:
            owner = json.loads(content or b"{}")["owner"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return None
        # The file's name already depends on the server and the token request, so its own owner is good enough.
        if not isinstance(owner, str):
            return None
        return load_credential(content, owner, age_clock(), wall_clock(), self.api_key.name())


class _Cache(FileCache):
    """A cache that waits for its lock no longer than the command may take."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__(path)
        self._patience = patience

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        with super().lock(min(timeout, self._patience)):
            yield


class _ReadOnlyCache(FileCache):
    """A cache in a folder that cannot be written. An access token in it is used, and nothing is stored.

    Its refresh token is not used, because a client that uses one must be able to store its successor.
    """

    def read(self) -> bytes | None:
        content = super().read()
        try:
            return None if content is None else json.dumps({**json.loads(content), "refresh_token": None}).encode()
        except (ValueError, TypeError, RecursionError):
            return None

    def write(self, content: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        yield


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, even if it does not exist yet.

    Raises:
        OSError: this user may not enter a folder above it.
    """
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


class Obtained(NamedTuple):
    """A token that may be used. `trouble` says why it is not as fresh as it should be, if it is not."""

    credential: Credential
    trouble: HourpassError | None = None


def obtain(source: "TokenSource | AgentToken", min_valid: float) -> Obtained:
    """A token with `min_valid` seconds left (at most half its lifetime), else one that is still valid.

    Raises:
        LoginRequired, LockTimeout, Unavailable, ConfigurationError: why there is no valid token.
    """
    credential = source.credential(min_valid=max(min_valid, LEAST))
    wanted = min(int(min_valid * SECOND), credential.lifetime // 2)
    if credential.hard - source.now() > wanted:
        return Obtained(credential)
    try:
        # A refresh that failed just now is not tried again so soon. This raises the error of that refresh.
        return Obtained(source.refresh(rejected=credential.number, retry=False, within=0))
    except HourpassError as trouble:
        return Obtained(credential, trouble)


def end(answer: Obtained) -> None:
    """End the command after its data was printed. If there was trouble, print it and exit with its code."""
    if answer.trouble is not None:
        sys.stdout.flush()
        complain(answer.trouble)
        sys.exit(exit_code(answer.trouble, still_valid=True))
