"""The revocation feed: what verifiers everywhere learn of revocations, within milliseconds of their commit.

It owns the entries in force as they were numbered, those who wait for the next one, and the signed answers. It revokes
nothing; the store numbers the entries. One answer is signed once, however many are waiting for it.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec

from hourpass.core.errors import InvalidRequest, Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import SigningKeyPair
from hourpass.verifier.revocations import MEDIA_TYPE, Entry, Page

MAX_WAIT = 30
"""Seconds a poll may wait: proxies cut idle connections after a minute."""

MAX_WAITERS = 1_000
"""Polls that wait at once; whoever comes later is answered at once, and paces itself."""

PAGE = 800
"""Entries in one answer, within the 128 KiB that JOSE libraries take; whoever is told that there are more asks on."""

REMEMBERED = 64
"""Answers kept for those who ask the same within a second: verifiers in step have few different numbers."""

Read = Callable[[int, int], Awaitable[list[Revocation]]]
"""The entries after a number that are in force at an instant, in the order of their numbers."""

_encode = msgspec.json.Encoder().encode
_HEADERS = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]


class FeedAnswer(NamedTuple):
    """Status, headers and body, for the route to send."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class RevocationFeed:
    """The feed of one process.

    `look_up` is called when the database holds entries that are not known here; every new one goes into `revocations`,
    which this process verifies by, too. `epoch` has to grow whenever numbers start anew. `catch_up` is called when a
    poll knows a number that is not known here: another node on the same database has told it.
    """

    def __init__(
        self,
        read: Read,
        signing_pair: Callable[[int], SigningKeyPair],
        revocations: Revocations,
        *,
        issuer: str,
        epoch: int,
        catch_up: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._read = read
        self._catch_up = catch_up
        self._signing_pair = signing_pair
        self._revocations = revocations
        self._issuer = issuer
        self._epoch = epoch
        self._entries: list[Revocation] = []
        self._reading = asyncio.Lock()
        self._hurried: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._made: dict[int, bytes] = {}
        self._made_for = (0, 0)
        self._closed = False
        self.waiting = 0
        self.last = 0

    async def look_up(self, now: int, *, given: int = 0) -> None:
        """Take in what the database holds beyond what is known here, in order, and wake whoever waits for it.

        `given` is a number that had been given out before: entries up to it that are not found can refuse nothing.

        Raises:
            StorageUnavailable: where it could not be read; nothing is lost, the next look finds it.
        """
        async with self._reading:
            found = await self._read(self.last, now)
            if found:
                self._entries += found
                self.last = found[-1].n
                for entry in found:
                    self._revocations.add(entry)
                self._wake()
            self.last = max(self.last, given)

    def hurry(self, now: int) -> None:
        """An entry was committed by this process: look it up at once rather than at the next turn.

        The entry itself is not enough: other processes' entries with lower numbers may not be known here yet.
        """
        if self._hurried is None or self._hurried.done():
            self._hurried = asyncio.get_running_loop().create_task(self._look_up_quietly(now))

    async def _look_up_quietly(self, now: int) -> None:
        try:
            await self.look_up(now)
        except Unavailable:
            return  # the next turn looks again, and reports it

    def close(self) -> None:
        """Answer all who wait with what there is; from now on nobody waits. For draining."""
        self._closed = True
        self._wake()

    async def answer(self, query: bytes, now: int) -> FeedAnswer:
        """`GET /auth/revocations?after=N&epoch=E&wait=S`: what came after entry N, as soon as there is something.

        `epoch` is that of the answer which told N; who does not say it learns of another one when the wait is over.

        Raises:
            InvalidRequest: where the query is not whole numbers; Unavailable: if no key signs.
        """
        after, epoch, wait = _read_query(query)
        if after > self.last and epoch == self._epoch and self._catch_up is not None:
            await self._catch_up(now)
        # A number that was never given, or is of another numbering: only the snapshot helps, and at once.
        if after > self.last or epoch not in (0, self._epoch):
            after = wait = 0
        now += await self._wait_for_news(after, wait)
        made_for = (self.last, now // SECOND)
        if made_for != self._made_for or len(self._made) >= REMEMBERED:
            self._entries = [entry for entry in self._entries if entry.until > now]
            self._made, self._made_for = {}, made_for
        if after not in self._made:
            self._made[after] = self._signed(after, now)
        return FeedAnswer(200, _HEADERS, self._made[after])

    async def _wait_for_news(self, after: int, wait: int) -> int:
        """How many milliseconds passed."""
        if after != self.last or not wait or self._closed or self.waiting >= MAX_WAITERS:
            return 0
        loop = asyncio.get_running_loop()
        began, changed = loop.time(), self._changed
        self.waiting += 1
        news = loop.create_task(changed.wait())
        try:
            await asyncio.wait([news], timeout=wait)
        finally:
            news.cancel()
            self.waiting -= 1
        return int((loop.time() - began) * 1000)

    def _signed(self, after: int, now: int) -> bytes:
        first = bisect_right(self._entries, after, key=lambda entry: entry.n)
        told = self._entries[first : first + PAGE]
        more = first + len(told) < len(self._entries)
        page = Page(
            iss=self._issuer,
            iat=now // SECOND,
            epoch=self._epoch,
            after=after,
            last=told[-1].n if more else self.last,
            # Rounded up: a revocation may last a moment longer, never shorter.
            entries=[Entry(entry.n, entry.kind, entry.value, -(-entry.until // SECOND)) for entry in told],
            more=more,
        )
        return self._signing_pair(now).sign_feed(_encode(page))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _read_query(query: bytes) -> tuple[int, int, int]:
    """`after`, `epoch` and `wait`, 0 where they are missing; a longer wait than the longest is the longest."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=8)
    except ValueError as error:
        raise InvalidRequest("the query is malformed") from error
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise InvalidRequest("a parameter is repeated")
    after, epoch, wait = (_whole(name, asked.get(name, "0")) for name in ("after", "epoch", "wait"))
    return after, epoch, min(wait, MAX_WAIT)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidRequest("not a whole number", name=name)
    return int(text)
