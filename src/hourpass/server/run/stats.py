"""Writes down how often things happened on this node, so that the overview survives a restart and adds up over nodes.

It looks at the counts from time to time, so no request pays for it. A worker process is a node.
"""

import asyncio

from hourpass.core.policy import MINUTE
from hourpass.core.stats import NOTHING, Stats, since, total
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.telemetry.counts import CELL, Counts
from hourpass.server.telemetry.metrics import METRICS, REFUSED, Counter

KEPT = 60
"""How many minutes wait while the database cannot be written to. Beyond that, the oldest one joins the next."""


def _counts_of(metric: str, *, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    counter = next(each for each in METRICS if isinstance(each, Counter) and each.name == metric)
    return tuple(name for name in counter.counts if name not in but)


_REPLAYED, _RAW_ENDED = REFUSED["replayed"], "verify_exchange_required"
_KEYS_REFUSED = ("credentials_refused", *_counts_of("hourpass_keys_refused"))

COUNTED = {
    "exchanges": ("exchange",),
    "refreshes": ("refresh_rotate", "refresh_burst"),
    "retries": ("refresh_retry",),
    "replays": (_REPLAYED,),
    "refusals": (*(name for name in REFUSED.values() if name != _REPLAYED), *_KEYS_REFUSED),
    "raw_accepted": ("accepted_api_key",),
    "raw_refused": (_RAW_ENDED,),
    "bearer_accepted": ("accepted_bearer",),
    "verify_refused": _counts_of("hourpass_forward_auth_refused", but=(_RAW_ENDED, "verify_no_credential")),
    "unavailable": ("unavailable",),
    "failures": ("failure",),
}
"""Which counts each number adds up."""

_CELLS = [[CELL[name] for name in COUNTED[field]] for field in Stats._fields]


def read(counts: Counts) -> Stats:
    """The numbers as the counts are now."""
    return Stats(*(round(sum(counts.cells[cell] for cell in cells)) for cells in _CELLS))


class StatsKeeper:
    """What happened on one node and is not written down yet, by epoch minutes.

    Counts may go on from those of a process before this one, so it begins with the ones that it finds.
    """

    def __init__(self, counts: Counts, ledger: Ledger, node: str) -> None:
        self._counts = counts
        self._ledger = ledger
        self._node = node
        self._seen = read(counts)
        self.waiting: dict[int, Stats] = {}

    async def keep(self, now: int, *, leaving: bool = False) -> None:
        """Note what happened since the last call, and write down the minutes that are over.

        `now` is epoch milliseconds. If the clock was set back, an earlier minute gets more. With `leaving`, this minute
        is written down as well.

        Raises:
            StorageUnavailable: if nothing was written. It is written the next time.
        """
        minute = now // MINUTE
        self._note(minute)
        over = sorted(each for each in self.waiting if leaving or each != minute)
        if over:
            rows = [(each, self.waiting.pop(each)) for each in over]
            writing = self._ledger.run(lambda store: store.add_stats(self._node, rows))
            writing.add_done_callback(lambda done: self._put_back(done, rows))
            # If this is cancelled, the write goes on. Only its outcome says whether the rows wait again.
            await asyncio.shield(writing)

    def _put_back(self, done: "asyncio.Future[None]", rows: list[tuple[int, Stats]]) -> None:
        if done.exception() is not None:
            for minute, happened in rows:
                self._add(minute, happened)

    def _note(self, minute: int) -> None:
        counted = read(self._counts)
        happened, self._seen = since(self._seen, counted), counted
        if any(happened):
            self._add(minute, happened)
        while len(self.waiting) > KEPT:
            oldest, following = sorted(self.waiting)[:2]
            self._add(following, self.waiting.pop(oldest))

    def _add(self, minute: int, happened: Stats) -> None:
        self.waiting[minute] = total([self.waiting.get(minute, NOTHING), happened])
