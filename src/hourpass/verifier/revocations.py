"""The revocation feed as a resource server follows it: what is revoked, and how old that knowledge is.

A state machine without I/O: `upkeep.py` polls. This module owns the feed's shape, which answers are believed, and what
happens to tokens while the feed is out of reach. It judges no token.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from hourpass.core.policy import MINUTE, SECOND
from hourpass.core.revocation import Kind, Revocation, Revocations
from hourpass.jose import UnknownKey, open_feed
from hourpass.verifier.connection import Answer, Question
from hourpass.verifier.jwks import JwkSet
from hourpass.verifier.upkeep import NEVER, while_callers_wait

MEDIA_TYPE = "application/revocations+jwt"

MAX_BYTES = 1024 * 1024
"""The largest answer. The issuer sends up to 800 entries at a time, which is a tenth of this."""

LONGEST_WAIT = 30 * SECOND
ANSWER_TIMEOUT = 5 * SECOND
"""In addition to the time that we ask the issuer to wait."""

MAX_CLOCK_DIFFERENCE = MINUTE
"""Between the issuer's clock and ours. An answer that differs by more may be an old recording."""

COALESCE = 50
"""Milliseconds after news before asking again, so that a storm of revocations comes in batches."""

SHORTEST_TURN = SECOND // 2
"""The least time between polls that brought nothing, if the issuer is too busy to let us wait."""

FeedState = Literal["fresh", "fail-open", "fail-closed"]


class Staleness(NamedTuple):
    """What happens to tokens while the feed is out of reach. Durations are in milliseconds since its last word.

    Until `budget` nothing happens. Then, until `open_until`, tokens are judged by the revocations that are known
    (fail-open). After that they are refused with a 503 (fail-closed).
    """

    budget: int
    open_until: int


def fail_closed(*, budget: float = 10) -> Staleness:
    """Refuse tokens with a 503 once the last word from the feed is older than `budget` seconds."""
    return Staleness(round(budget * SECOND), 0)


def fail_open(*, until: float, budget: float = 10) -> Staleness:
    """Accept tokens by the known revocations until the last word is `until` seconds old. Then refuse with a 503."""
    return Staleness(round(budget * SECOND), round(until * SECOND))


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A revocation on the wire. `until` is epoch seconds, and so is `issued_before`, which only a cutoff has."""

    n: int
    kind: Kind
    value: str
    until: int
    issued_before: int | None = None


class Page(msgspec.Struct, frozen=True):
    """One answer of the feed, signed as a JWS.

    `entries` are all entries after number `after`, up to number `last`. `more` says that others follow at once. `epoch`
    grows when the numbers start again. `iat` is epoch seconds. `cutoffs` are entries of keys that refuse only the
    tokens from before a second. They stand apart, because a verifier that does not know them would refuse all tokens
    of the key.
    """

    iss: str
    iat: int
    epoch: int
    after: int
    last: int
    entries: list[Entry]
    more: bool = False
    cutoffs: list[Entry] | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(Page).decode


class RevocationList:
    """The entries of the feed so far. `revocations` is always the same object, and loses only entries that expire."""

    def __init__(
        self,
        url: str,
        issuer: str,
        jwks: JwkSet,
        random: Callable[[], float],
        staleness: Staleness,
        timeout: int = ANSWER_TIMEOUT,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._issuer = issuer
        self._jwks = jwks
        self._random = random
        self._staleness = staleness
        # Poll at least twice within the budget, so that one lost answer costs nothing.
        self._wait = max(SECOND, min(LONGEST_WAIT, staleness.budget // 2 // SECOND * SECOND))
        self._next_at = 0
        self._began_at: int | None = None
        self._since: int | None = None
        self._heard_at: int | None = None
        self._epoch = 0
        self._cursor = 0
        self._snapshot_due = True
        self._hurried = False
        self._iat = 0
        self.revocations = Revocations()
        self.failures = 0
        self.problem = ""

    @property
    def due_at(self) -> int:
        """When to poll next. Never without keys, because then no answer can be believed."""
        return self._next_at if self._jwks.keys else NEVER

    @property
    def good_until(self) -> int:
        """The first instant at which tokens are refused because too little is known."""
        if self._heard_at is not None:
            return self._heard_at + max(self._staleness)
        return -1 if self._since is None else self._since + self._staleness.open_until

    def state(self, now: int) -> FeedState:
        """The state at the instant `now`. Exactly at a boundary it is the later one."""
        if self._heard_at is not None and now < self._heard_at + self._staleness.budget:
            return "fresh"
        return "fail-open" if now < self.good_until else "fail-closed"

    def age(self, now: int) -> int | None:
        """Milliseconds since the list was last known to be complete. None before the first time."""
        return None if self._heard_at is None else now - self._heard_at

    def start(self, now: int) -> None:
        """Start: tokens need the list from now on. The age of a feed that was never heard is counted from here."""
        if self._since is None:
            self._since = now

    def hurry(self, now: int) -> None:
        """Poll now and do not wait for news, because tokens are refused without an answer."""
        if now >= self.good_until:
            self._hurried = True
            self._next_at = min(self._next_at, now)

    def begin(self, now: int) -> Question:
        """Start a poll: what to ask. It waits for news unless a snapshot is due, after a failure, or in a hurry.

        An empty answer at once is as good as one that waited: it says that nothing was missed.
        """
        self._began_at = now
        at_once = self._snapshot_due or self._hurried or self.failures
        wait = 0 if at_once else self._wait
        url = f"{self._url}?after={self._cursor}&epoch={self._epoch}&wait="
        timeout = wait + self._timeout
        return Question(f"{url}{wait // SECOND}", {"accept": MEDIA_TYPE}, timeout, MAX_BYTES, wait, f"{url}0")

    def finish(self, answer: Answer, now: int, wall: int) -> None:
        """End a poll with its answer. An answer that is not believed changes only the time of the next poll."""
        try:
            page = self._believed(answer, wall)
        except ValueError as error:
            self.failures += 1
            self.problem = str(error)
            self._next_at = now + while_callers_wait(self.failures, self._random)
            return
        self.failures, self.problem, self._hurried = 0, "", False
        if page.epoch > self._epoch:
            self._epoch, self._cursor, self._iat = page.epoch, 0, 0
        if page.after > self._cursor:
            # Numbers are missing, or they started again. Known entries stay: they never refuse a valid token.
            self._cursor, self._snapshot_due, self._next_at = 0, True, now + COALESCE
            return
        self._take(page, now, wall)

    def _take(self, page: Page, now: int, wall: int) -> None:
        for entry in (*page.entries, *(page.cutoffs or ())):
            if (until := entry.until * SECOND) > wall:
                self.revocations.add(Revocation(entry.n, entry.kind, entry.value, until, entry.issued_before))
        news = page.last > self._cursor
        # An answer that is not newer than the last one is not a sign of life: it may be a copy of the last one.
        if not page.more and (news or page.iat > self._iat):
            self._heard_at = now
        self._cursor = page.last
        pause = COALESCE if news or self._snapshot_due else SHORTEST_TURN
        self._snapshot_due = page.more
        self._iat = max(self._iat, page.iat)
        self.revocations.prune(wall)
        self._next_at = max(now, (self._began_at or 0) + pause)

    def _believed(self, answer: Answer, wall: int) -> Page:
        """The page of an answer.

        Raises:
            ValueError: it is forged, recorded, another issuer's, or rolled back.
        """
        if answer.status != 200:
            raise ValueError(answer.detail or f"status {answer.status}")
        try:
            page = _decode(open_feed(answer.body, self._jwks.keys))
        except UnknownKey as error:
            # The next poll finds the key, if it exists. Waiting for it here would delay the news.
            self._jwks.ask(error.header, self._began_at or 0)
            raise ValueError("the feed's key is unknown") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("not a page of the feed") from error
        if page.iss != self._issuer:
            raise ValueError("another issuer's feed")
        if abs(page.iat * SECOND - wall) > MAX_CLOCK_DIFFERENCE:
            raise ValueError("an old recording, or clocks that differ")
        if page.epoch < self._epoch or page.after > page.last:
            raise ValueError("rolled back")
        if page.epoch == self._epoch and page.last < self._cursor:
            raise ValueError("rolled back")
        if not all(entry.value.isdecimal() for entry in page.entries if entry.kind == "issued_before"):
            raise ValueError("an entry is not valid")
        if not all(entry.kind == "key" and entry.issued_before for entry in page.cutoffs or ()):
            raise ValueError("a cutoff is not valid")
        return page
