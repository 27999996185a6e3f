"""One batch in one transaction: on a local store, or on one over a network.

With a local store the statements run in the event loop, because they are short and contend for the interpreter lock
anyway. The commit, which waits for the disk, runs in a thread while the next batch gathers. With a remote store the
statements wait for a network: the whole batch runs in the thread.
"""

import time
from typing import Any

from hourpass.server.ledger.batch import Settling
from hourpass.server.ledger.callers import Asker, finished
from hourpass.server.ledger.lane import Lane
from hourpass.server.ledger.stall import Stalls
from hourpass.server.store import Store, persist

WAITS = 2_000
"""Milliseconds for which a batch may wait for other transactions, besides what makes a stall."""


class Transactions:
    """Carries out the batches of one ledger. `remote` says that its store waits for a network."""

    def __init__(self, settling: Settling, stalls: Stalls, *, remote: bool) -> None:
        self._settling = settling
        self._stalls = stalls
        self._remote = remote

    async def settle(self, lane: Lane, batch: list[Asker], began: int) -> tuple[list[Any], float]:
        """Carry out a batch. Returns what the callers get after the commit, and how many seconds that took.

        Raises:
            StorageUnavailable: if nothing was kept; Stalled: if the transaction took too long to be kept.
        """
        if not self._remote:
            return await self._settle_here(lane, batch, began)
        answers, took = await lane.do(lambda store: self._settle_there(store, batch, began))
        return finished(batch, answers), took

    async def _settle_here(self, lane: Lane, batch: list[Asker], began: int) -> tuple[list[Any], float]:
        """A local store: its statements in the loop, and all waiting in the thread."""
        if not lane.store.begin(wait=False):
            await lane.do(lambda store: store.begin(wait=True))
        try:
            answers = self._settling.settle(lane.store, [entry.asked for entry in batch], batch[0].at)
            committing = lane.do(lambda store: self._commit(store, began))
            # While the disk is at work: by the time it is done, most or all of the answers are made.
            outcomes = finished(batch, answers)
            took = await committing
        except Exception:
            lane.store.rollback()
            raise
        return outcomes, took

    def _settle_there(self, store: Store, batch: list[Asker], began: int) -> tuple[list[Any], float]:
        """A remote store: all of it in the thread, and again if another transaction was in the way."""

        def attempt() -> tuple[list[Any], float]:
            store.begin(wait=False)
            answers = self._settling.settle(store, [entry.asked for entry in batch], batch[0].at)
            return answers, self._commit(store, began)

        return persist(attempt, store.rollback)

    def _commit(self, store: Store, began: int) -> float:
        """Commit. Returns how many seconds that took."""
        # What a stalled transaction decided is too old to be kept.
        self._stalls.require_prompt(began, allowance=WAITS)
        asked = time.perf_counter()
        store.commit()
        return time.perf_counter() - asked
