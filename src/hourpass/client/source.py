"""Tokens for whoever needs one: the public face of the client, for threads and for asyncio.

Here is only who waits for what, written once for both. When a token counts is `credential`'s to say; one refresh at a
time is `flight`'s business.
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

IsGood = Callable[[Credential, int], bool]


class TokenSource(Reopens):
    """Keeps one credential of one server fresh. Safe for threads, event loops and forks.

    A copy shares it, `deepcopy` included. A pickle makes it again where it is opened, and needs a callable as
    `api_key`, because a literal key would be in the pickle.

    `api_key` is the key, or a callable that gives it when it is needed; without one, a refresh token must lie in the
    cache. What another key has left there is not used; for a callable, `key_name`, no secret, tells the keys apart.
    `scope`, `audience` and `expires_in` (seconds) narrow what is asked for. The token may be sent to the server's own
    origin and to `origins`. `timeout` (seconds) is how long callers wait if they do not say, `patience`
    (seconds) how long one refresh may take, resends included. `tls` is for a server with
    a certificate of a private authority, or one that asks for the client's. `proxy` is the URL of a proxy to go
    through; without it the environment's is used, for https alone. `observe` is told each event in the thread of the
    refresh, and must be quick.

    Raises:
        ConfigurationError: a URL is not one that a key or a token may be sent to.
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
            # What another server, or another token request, left in the cache is not for this source.
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
        self._flights = Flights(setting, observe)

    @property
    def current(self) -> Credential | None:
        """The newest credential at hand, good or not. Never waits, never reads the cache."""
        return self._flights.current

    @property
    def counts(self) -> Counter[RefreshEvent]:
        """How often each event has happened, for metrics."""
        return self._flights.counts

    @property
    def retry_at(self) -> int:
        """The instant on its clock before which no refresh will be tried; past where one may be."""
        return self._flights.not_before

    def token(self, *, min_valid: float = 0, within: float | None = None) -> str:
        """An access token that is not past hard. Arguments and errors as for `credential`."""
        return self.credential(min_valid=min_valid, within=within).access_token

    async def token_async(self, *, min_valid: float = 0, within: float | None = None) -> str:
        """As `token`, for asyncio."""
        return (await self.credential_async(min_valid=min_valid, within=within)).access_token

    def credential(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """The credential to use now. Past soft it starts a refresh and does not wait for it; past hard it waits.

        `min_valid` (seconds; at most half the lifetime counts) asks for a refresh first where less is left; if that
        fails, what is still good is the answer. `within` is in seconds.

        Raises:
            LoginRequired: the server accepts neither refresh token nor API key.
            LockTimeout: another process does not end its refresh.
            Unavailable: no good token, and none to be had in time; `retry_after` says when to ask again.
            ConfigurationError: the API key or the cache cannot be read.
        """
        good = self._at_once(min_valid)
        return drive(self._credential(min_valid), self._seconds(within)) if good is None else good

    async def credential_async(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """As `credential`, for asyncio. What may block, the cache included, is done in a thread."""
        good = self._at_once(min_valid)
        return await drive_async(self._credential(min_valid), self._seconds(within)) if good is None else good

    def refresh(self, *, rejected: int | None = None, retry: bool = True, within: float | None = None) -> Credential:
        """A credential newer than number `rejected`, whoever fetched it; without a number, one that is not past soft.

        Without `retry` the first failure is final, however much of `within` (seconds) is left.

        Raises:
            LoginRequired, LockTimeout, Unavailable, ConfigurationError: as `credential`. `current` stays, and may
                still be good.
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
        """Drop what is held in memory, errors included: the next call reads the cache and asks the server anew."""
        self._flights.forget()

    def use_key(self, key_name: str | None) -> None:
        """The callable that gives the API key gives another one from now on, which goes by `key_name` in the cache.

        The token at hand stays until the next one; that one is fetched with the new key. See `name_of_key`.
        """
        self._flights.use_key(key_name)

    def close(self, within: float | None = None) -> None:
        """Begin no further refresh, and wait for the end of one that is under way (`within` in seconds)."""
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
        """The common case, without further ado."""
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
        """What we hold, after a look into the cache where that is not good."""
        if not self._flights.holds(is_good):
            yield partial(self._flights.look, is_good)
        return self._flights.current

    def _refresh(self, rejected: int | None, *, retry: bool) -> Waiting[Credential]:
        def is_newer(one: Credential, now: int) -> bool:
            return rejected is not None and one.number > rejected and one.is_usable(now)

        return (yield from self._until(_is_fresh if rejected is None else is_newer, rejected, retry=retry))

    def _until(self, is_good: IsGood, rejected: int | None, *, retry: bool) -> Waiting[Credential]:
        """Refresh until there is a good one. Transient trouble is waited out, for as long as the driver lets us."""
        flights = self._flights
        in_vain = 0
        while True:
            current = yield from self._look(is_good)
            now = self.now()
            if current is not None and is_good(current, now):
                return current
            if flights.error is not None and now < flights.not_before:
                # Only plain trouble passes by itself. Of anything else the caller hears at once.
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
