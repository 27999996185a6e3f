"""The revocation feed: verifiers everywhere learn of a revocation within milliseconds of its commit.

It owns the numbered entries in force, the polls that wait for the next one, and the signed answers. It revokes nothing,
and the store numbers the entries. An answer is signed once, however many polls wait for it.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from hourpass.core.errors import InvalidRequest, Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import SigningKeyPair
from hourpass.verifier.revocations import MEDIA_TYPE, Entry, Page
from hourpass.wire.reading import read_pairs

MAX_WAIT = 30
"""How many seconds a poll may wait. Proxies cut idle connections after a minute."""

MAX_WAITERS = 1_000
"""How many polls may wait at the same time. Further ones are answered at once, and their verifiers pace themselves."""

PAGE = 800
"""Entries in one answer, so that it fits into the 128 KiB that JOSE libraries accept. If there are more, it says so,
and the verifier asks again."""

REMEMBERED = 64
"""How many answers are kept for the same question within a second. Verifiers in step ask for few different numbers."""

Read = Callable[[int, int], Awaitable[list[Revocation]]]
"""Called with a number and an instant: the entries after that number that are in force then, in order."""

_encode = msgspec.json.Encoder().encode
_HEADERS = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]


class FeedAnswer(NamedTuple):
    """The status, headers and body that the route sends."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class RevocationFeed:
    """The feed of one process.

    Call `look_up` when the database holds entries that are not known here. It adds each new one to `revocations`, which
    this process also verifies by. `epoch` must grow whenever the numbers start again. `catch_up` is called when a poll
    names a number that is not known here: it learned that number from another node on the same database.
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
        """Read the entries that are not known here yet, in order, and wake the polls that wait for them.

        `given` is the last number that the database had given out. If an entry up to it is not found, it has expired.

        Raises:
            StorageUnavailable: if the database cannot be read. Nothing is lost: the next look-up finds the entries.
        """
        async with self._reading:
            found = await self._read(self.last, now)
            if found:
                self._entries += found
                for entry in found:
                    self._revocations.add(entry)
                self.last = found[-1].n  # after them: a thread that reads it may rely on all entries up to it
                self._wake()
            self.last = max(self.last, given)

    def hurry(self, now: int) -> None:
        """Look up entries now and not at the next turn, because this process has just committed one.

        The entry itself is not enough: entries of other processes with lower numbers may not be known here yet.
        """
        if self._hurried is None or self._hurried.done():
            self._hurried = asyncio.get_running_loop().create_task(self._look_up_quietly(now))

    async def _look_up_quietly(self, now: int) -> None:
        try:
            await self.look_up(now)
        except Unavailable:
            return  # the next turn looks again, and reports it

    def close(self) -> None:
        """Answer all waiting polls with what is known, and let no poll wait from now on. For draining."""
        self._closed = True
        self._wake()

    async def answer(self, query: bytes, now: int) -> FeedAnswer:
        """`GET /auth/revocations?after=N&epoch=E&wait=S`: the entries after entry N, as soon as there are some.

        `epoch` is the one of the answer that told N. A poll without it learns of a new epoch only after its wait.

        Raises:
            InvalidRequest: if the query is not whole numbers.
            Unavailable: if no key signs.
        """
        after, epoch, wait = _read_query(query)
        if after > self.last and epoch == self._epoch and self._catch_up is not None:
            await self._catch_up(now)
        # The number was never given, or belongs to another epoch: only the snapshot helps, without waiting.
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
        """Wait for a new entry, for up to `wait` seconds. Returns how many milliseconds passed."""
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
            # Rounded up: a revocation may last a moment longer, but never shorter.
            entries=[_entry(each) for each in told if each.issued_before is None],
            more=more,
            cutoffs=[_entry(each) for each in told if each.issued_before is not None] or msgspec.UNSET,
        )
        return self._signing_pair(now).sign_feed(_encode(page))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _entry(revocation: Revocation) -> Entry:
    # Rounded up: a revocation may last a moment longer, never shorter.
    until = -(-revocation.until // SECOND)
    return Entry(revocation.n, revocation.kind, revocation.value, until, revocation.issued_before)


def _read_query(query: bytes) -> tuple[int, int, int]:
    """Read `after`, `epoch` and `wait`. A missing one is 0, and the wait is never longer than MAX_WAIT."""
    pairs = read_pairs(query, 8, "the query is malformed")
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise InvalidRequest("a parameter is repeated")
    after, epoch, wait = (_whole(name, asked.get(name, "0")) for name in ("after", "epoch", "wait"))
    return after, epoch, min(wait, MAX_WAIT)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidRequest("not a whole number", name=name)
    return int(text)
