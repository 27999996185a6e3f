"""One request of an adapter, for every HTTP library: which token it carries, and whether it is sent again.

Carries out what `strategy` decides: asks the source, waits, and logs why a 401 goes to the caller. It sends nothing
itself, and holds nothing while a response is open.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

from hourpass.client.auth.strategy import Call, Note, Seen, SendAgain, Source, Verdict, bearer
from hourpass.client.credential import Credential
from hourpass.client.refresh.challenge import retry_after_of
from hourpass.clocks import draw, wall_clock
from hourpass.core.errors import HourpassError
from hourpass.core.policy import SECOND
from hourpass.urls import origin_of

_log = logging.getLogger(__name__)

_WHY: dict[Note, str] = {
    "body": "its body cannot be sent twice, but the next request starts with a newer token",
    "budget": "the server keeps rejecting, or asks for a longer wait than a request may take",
    "breaker": "the server has rejected too many new tokens, so no more are fetched for now",
}


class Rejection(NamedTuple):
    """A 401 in a form that every library can give.

    `url` and `authorization` are those of the request that it answers, after redirects. `replayable` says whether the
    whole body can be sent again.
    """

    url: str
    authorization: str | None
    challenges: Sequence[str]
    retry_after: str | None
    replayable: bool

    def __repr__(self) -> str:
        """Without the token."""
        return f"Rejection({self.url!r})"


class Sending:
    """One request to `url`, from its first send with `credential` to the response that the caller gets."""

    def __init__(
        self,
        source: Source,
        url: str,
        credential: Credential,
        *,
        chance: Callable[[], float] = draw,
        wall: Callable[[], int] = wall_clock,
    ) -> None:
        self._source = source
        self._url = url
        self._sent = credential
        self._chance = chance
        self._wall = wall
        self.restart()

    def restart(self) -> None:
        """Start a new budget: the caller sends the same request again, or it was redirected."""
        self._call: Call | None = None
        self._started_at = self._source.now()

    @property
    def authorization(self) -> str:
        """The Authorization value for the next send."""
        return bearer(self._sent)

    def again(self, rejection: Rejection) -> bool:
        """Whether to send it again, with another `authorization`. Otherwise the 401 goes to the caller."""
        source, (verdict, call, at) = self._source, self._judge(rejection)
        try:
            if verdict.rejected is not None:
                within = call.left(source.now()) / SECOND
                source.refresh(rejected=verdict.rejected, retry=isinstance(verdict, SendAgain), within=within)
            if isinstance(verdict, SendAgain):
                time.sleep(max(0, at - source.now()) / SECOND)
                self._sent = source.credential(within=call.left(source.now()) / SECOND)
                return True
        except HourpassError as error:
            _tell(str(error))
        return False

    async def again_async(self, rejection: Rejection) -> bool:
        """As `again`, for asyncio."""
        source, (verdict, call, at) = self._source, self._judge(rejection)
        try:
            if verdict.rejected is not None:
                within = call.left(source.now()) / SECOND
                await source.refresh_async(
                    rejected=verdict.rejected, retry=isinstance(verdict, SendAgain), within=within
                )
            if isinstance(verdict, SendAgain):
                await asyncio.sleep(max(0, at - source.now()) / SECOND)
                self._sent = await source.credential_async(within=call.left(source.now()) / SECOND)
                return True
        except HourpassError as error:
            _tell(str(error))
        return False

    def _judge(self, rejection: Rejection) -> tuple[Verdict, Call, int]:
        """The verdict, the call that it is about, and the instant before which nothing is sent again."""
        source, now = self._source, self._source.now()
        if self._call is None:
            self._call = Call(self._url, replayable=rejection.replayable, now=self._started_at)
        retry_after = retry_after_of(rejection.retry_after, self._wall())
        verdict = self._call.judge(
            Seen(rejection.url, rejection.authorization, rejection.challenges, retry_after),
            sent=self._sent,
            current=source.current,
            breaker=source.breaker,
            now=now,
            jitter=self._chance(),
        )
        if isinstance(verdict, SendAgain):
            return verdict, self._call, now + verdict.wait
        if verdict.note in _WHY:
            _tell(_WHY[verdict.note])
        return verdict, self._call, now


class Gate:
    """Decides which requests of one adapter carry the source's token. Logs once for each origin that is refused it."""

    MOST = 64
    """How many origins are remembered and logged."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._told: set[str | None] = set()

    def lets(self, url: str, headers: Container[str]) -> bool:
        """Whether a request gets the token: its origin is allowed, and it has no Authorization header of its own."""
        if "Authorization" in headers:
            return False
        if self._source.allows(url):
            return True
        origin = origin_of(url)
        if origin not in self._told and len(self._told) < self.MOST:
            self._told.add(origin)
            _log.warning("the token is withheld from %s: add it to `origins` if it may go there", origin or "a URL")
        return False


def position_of(body: Any) -> int | None:
    """The position of a file, to which it can be rewound. None for a body that cannot be read twice."""
    try:
        position = body.tell()
        return position if body.seekable() and isinstance(position, int) else None
    except (AttributeError, OSError, ValueError):
        return None


def _tell(why: str) -> None:
    _log.warning("a 401 goes to the caller: %s", why)
