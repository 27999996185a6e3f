"""`TokenSource`, the public face of the client: gives tokens to threads and to asyncio.

This module decides only who waits for what, once for both. `credential` decides when a token is valid. `flight` lets
one refresh run at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from hourpass.client.auth.strategy import Breaker
from hourpass.client.credential import Credential, name_of_key
from hourpass.client.refresh.cache import Cache, MemoryCache
from hourpass.client.refresh.driver import Waiting, drive, drive_async
from hourpass.client.refresh.fetcher import RefreshEvent
from hourpass.client.refresh.flight import Flights
from hourpass.client.refresh.reopen import Reopens
from hourpass.client.refresh.setting import Setting
from hourpass.clocks import age_clock, draw, wall_clock
from hourpass.core.errors import HourpassError, Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.token_request import TokenRequest
from hourpass.urls import AllowList, ServerAddress

if TYPE_CHECKING:
    import ssl

    import httpx2

    from hourpass.client.refresh.token_endpoint import Rotated
    from hourpass.client.refresh.transaction import NotAccepted, Transient, Unknown

IsGood = Callable[[Credential, int], bool]


class TokenSource(Reopens):
    """Keeps one credential of one server fresh. Safe for threads, event loops and forks.

    A copy shares it, `deepcopy` included. Unpickling makes a new one in its process. To be pickled it needs a callable
    as `api_key`, because a literal key would be in the pickle.

    `api_key` is the key, or a callable that returns it when it is needed. Without a key there must be a refresh token
    in the cache. A cached token of another key is not used. For a callable, `key_name` tells the keys apart. It is not
    a secret.
    `scope`, `audience` and `expires_in` (seconds) narrow the token.
    The token may be sent to the server's own origin and to `origins`.
    `timeout` (seconds) is how long callers wait by default. `patience` (seconds) is how long one refresh may take,
    resends included.
    `tls` is for a server whose certificate comes from a private authority, or that asks for a client certificate.
    `proxy` is the URL of a proxy. Without it the environment's proxy is used, for https only.
    `observe` is called with each event in the thread of the refresh, and must be quick.

    Raises:
        ConfigurationError: a key or a token may not be sent to one of the URLs.
    """

    def __init__(
        self,
        url: str,
        api_key: str | Callable[[], str] | None = None,
        *,
        cache: Cache | None = None,
        scope: str | None = None,
        audience: str | None = None,
        expires_in: int | None = None,
        origins: Iterable[str] = (),
        allow_http: bool = False,
        tls: "ssl.SSLContext | None" = None,
        proxy: str | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        key_name: str | None = None,
        user_agent: str = "hourpass",
        observe: Callable[[RefreshEvent], None] | None = None,
        clock: Callable[[], int] = age_clock,
        wall: Callable[[], int] = wall_clock,
        chance: Callable[[], float] = draw,
        transport: "httpx2.BaseTransport | None" = None,
    ) -> None:
        self._has_literal_key = isinstance(api_key, str)
        address = ServerAddress(url, allow_http=allow_http, tls=tls, proxy=proxy)
        self.url = address.url
        self.breaker = Breaker()
        self.now = clock
        self.allows = AllowList((url, *origins), allow_http=allow_http).allows
        self._wall = wall
        self._timeout = timeout
        setting = Setting(
            address=address,
            # A cached token of another server, or of another token request, is not for this source.
            owner=" ".join(str(part) for part in (self.url, scope, audience, expires_in) if part is not None),
            key_name=name_of_key(api_key) if isinstance(api_key, str) and not key_name else key_name,
            token_request=TokenRequest(scope=scope, audience=audience, expires_in=expires_in),
            api_key=api_key,
            cache=MemoryCache() if cache is None else cache,
            user_agent=user_agent,
            patience=patience,
            clock=clock,
            wall=wall,
            chance=chance,
            transport=transport,
        )
        self._setting = setting
        self._flights = Flights(setting, observe)

    @property
    def current(self) -> Credential | None:
        """The newest credential in memory, valid or not. Never waits, never reads the cache."""
        return self._flights.current

    @property
    def counts(self) -> Counter[RefreshEvent]:
        """How often each event has happened, for metrics."""
        return self._flights.counts

    @property
    def retry_at(self) -> int:
        """The instant on its clock before which no refresh is tried. In the past if one may be tried now."""
        return self._flights.not_before

    def token(self, *, min_valid: float = 0, within: float | None = None) -> str:
        """An access token that may still be sent. Arguments and errors as for `credential`."""
        return self.credential(min_valid=min_valid, within=within).access_token

    async def token_async(self, *, min_valid: float = 0, within: float | None = None) -> str:
        """As `token`, for asyncio."""
        return (await self.credential_async(min_valid=min_valid, within=within)).access_token

    def credential(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """The credential to use now. Once a refresh is due, this starts one, and waits only if the token is unusable.

        A refresh is due after 65 to 75 % of the lifetime. In its last 10 s or 2 % a token is unusable: it is not sent.

        `min_valid` (seconds, at most half the lifetime) asks for a refresh first if less is left. If that refresh
        fails, you get the credential that is still valid. `within` is in seconds.

        Raises:
            LoginRequired: the server accepts neither refresh token nor API key.
            LockTimeout: another process does not end its refresh.
            Unavailable: there is no valid token, and none came in time. `retry_after` says when to ask again.
            ConfigurationError: the API key or the cache cannot be read.
        """
        good = self._at_once(min_valid)
        return drive(self._credential(min_valid), self._seconds(within)) if good is None else good

    async def credential_async(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """As `credential`, for asyncio. Calls that may block, the cache's included, run in a thread."""
        good = self._at_once(min_valid)
        return await drive_async(self._credential(min_valid), self._seconds(within)) if good is None else good

    def refresh(self, *, rejected: int | None = None, retry: bool = True, within: float | None = None) -> Credential:
        """A credential newer than number `rejected`, from any process. Without a number, one whose refresh is not due.

        Without `retry` the first failure is final, even if some of `within` (seconds) is left.

        Raises:
            LoginRequired, LockTimeout, Unavailable, ConfigurationError: as `credential`. `current` stays, and may
                still be valid.
        """
        return drive(self._refresh(rejected, retry=retry), self._seconds(within))

    async def refresh_async(
        self, *, rejected: int | None = None, retry: bool = True, within: float | None = None
    ) -> Credential:
        """As `refresh`, for asyncio."""
        return await drive_async(self._refresh(rejected, retry=retry), self._seconds(within))

    def expires_at(self, credential: Credential) -> int:
        """When a credential of this source expires, in epoch milliseconds."""
        return self._wall() + credential.expires_at - self.now()

    def forget(self) -> None:
        """Drop what is held in memory, errors included: the next call reads the cache and asks the server again."""
        self._flights.forget()

    def use_key(self, key_name: str | None) -> None:
        """Say that the callable now returns another API key, whose name in the cache is `key_name`.

        The current token stays until the next one, which is fetched with the new key. See `name_of_key`.
        """
        self._flights.use_key(key_name)

    def next_key(self, api_key: str, within: float = 10.0) -> "Rotated | NotAccepted | Transient | Unknown":
        """Ask the server for the next secret of an API key (`POST /auth/rotate`), once, in at most `within` seconds.

        The same question has the same answer until the overlap is over, so asking again after a lost answer is safe.
        """
        from hourpass.client.refresh.token_endpoint import TokenEndpoint  # noqa: PLC0415 - needs the HTTP library

        return TokenEndpoint(self._setting).rotate(api_key, within)

    def close(self, within: float | None = None) -> None:
        """Start no more refreshes, and wait for the end of one that is under way (`within` in seconds)."""
        self._flights.close(self._seconds(within))

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """How to make it again."""
        if self._has_literal_key:
            raise TypeError("a TokenSource with a literal API key is not pickled: give the key as a callable")
        return super().__reduce__()

    def __repr__(self) -> str:
        """With the URL alone."""
        return f"TokenSource({self.url!r})"

    def _at_once(self, min_valid: float) -> Credential | None:
        """The common case, as quickly as possible: the credential in memory if it is fresh."""
        current = self._flights.current
        if current is None or min_valid or self.now() >= current.soft:
            return None
        return current

    def _credential(self, min_valid: float) -> Waiting[Credential]:
        flights = self._flights
        current = yield from self._look(_is_usable)
        now = self.now()
        if current is not None and min_valid and now < current.hard:
            if now + min(int(min_valid * SECOND), current.lifetime // 2) < current.hard:
                return current
            try:
                return (yield from self._refresh(current.number, retry=False))
            except HourpassError:
                if not current.is_usable(self.now()):
                    raise
                return current
        current = yield from self._until(_is_usable, None, retry=True)
        if self.now() >= max(current.soft, flights.not_before):
            with suppress(Unavailable):
                flights.take_off(None)
        return current

    def _look(self, is_good: IsGood) -> Waiting[Credential | None]:
        """The credential in memory. If it is not good, look into the cache first."""
        if not self._flights.holds(is_good):
            yield partial(self._flights.look, is_good)
        return self._flights.current

    def _refresh(self, rejected: int | None, *, retry: bool) -> Waiting[Credential]:
        def is_newer(one: Credential, now: int) -> bool:
            return rejected is not None and one.number > rejected and one.is_usable(now)

        return (yield from self._until(_is_fresh if rejected is None else is_newer, rejected, retry=retry))

    def _until(self, is_good: IsGood, rejected: int | None, *, retry: bool) -> Waiting[Credential]:
        """Refresh until there is a good credential. Wait while the trouble is transient and the driver allows it."""
        flights = self._flights
        in_vain = 0
        while True:
            current = yield from self._look(is_good)
            now = self.now()
            if current is not None and is_good(current, now):
                return current
            if flights.error is not None and now < flights.not_before:
                # Only a plain Unavailable passes by itself. Any other error goes to the caller at once.
                if not retry or type(flights.error) is not Unavailable:
                    raise flights.trouble()
                wait: Future[None] | int = flights.not_before - now
            elif in_vain < 2:
                wait = flights.take_off(rejected)
            else:
                raise Unavailable("tokens expire before they arrive")
            try:
                yield wait
            except TimeoutError:
                raise flights.trouble() from None
            if isinstance(wait, Future):
                in_vain += flights.error is None

    def _seconds(self, within: float | None) -> float:
        return self._timeout if within is None else within


def _is_usable(one: Credential, now: int) -> bool:
    return one.is_usable(now)


def _is_fresh(one: Credential, now: int) -> bool:
    return one.freshness(now) == "fresh"
