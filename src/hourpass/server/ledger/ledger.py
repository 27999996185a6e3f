"""The ledger: many callers, one transaction, each answered after the commit.

Everything that waits goes into the next transaction. A turn is one coroutine for each batch. Each further connection
to a remote store carries one more batch at the same time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from hourpass.core.api_key import ApiKey, Proven
from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Grant
from hourpass.core.policy import MAX_RETRY_WINDOW, Policy
from hourpass.server.ledger.absences import Absences
from hourpass.server.ledger.asking import GrantHeld, Opened, Opening, Refreshed, Refreshing
from hourpass.server.ledger.batch import Settling
from hourpass.server.ledger.callers import Asker, tell_all, tell_caller
from hourpass.server.ledger.folds import Folds
from hourpass.server.ledger.jobs import Job, JobKind, do_all
from hourpass.server.ledger.key_lookup import KeyLookUp
from hourpass.server.ledger.lane import Lane
from hourpass.server.ledger.measures import Measures
from hourpass.server.ledger.news import News
from hourpass.server.ledger.remembered import Keys
from hourpass.server.ledger.stall import Stalled, Stalls
from hourpass.server.ledger.transactions import Transactions
from hourpass.server.ledger.writability import Writability
from hourpass.server.store import Store
from hourpass.server.store.connection import Unreachable
from hourpass.server.store.control import Control
from hourpass.server.telemetry.counts import Counts
from hourpass.tracing import is_used, lasting

QUEUE_LIMIT = 10_000
"""Callers beyond this are told to come back at once: waiting longer than a client's time-out helps nobody."""

BATCH_LIMIT = 256
"""Entries of one transaction. Its statements hold the event loop, and this many take a few milliseconds."""

PATIENCE = 6.0
"""Seconds a remote store may take for one turn: longer than any of its statements may, and with an attempt to connect
after it still shorter than a client waits."""

HELD_PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4)
"""Seconds before each further batch that takes a caller along whose grant another transaction held: 1.9 in all."""

T = TypeVar("T")


class Ledger:
    """Group commit in front of one database. Belongs to one event loop.

    `remote` says that the store waits for a network. `others` are further connections of the same kind. With `stalls`
    nothing is carried out that has waited while this process stood still. `absences` is told when the database was
    seen. `counts` gets what is measured. `news` is for those who wait for the audit trail.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        *,
        remote: bool = False,
        others: Sequence[Store] = (),
        queue_limit: int = QUEUE_LIMIT,
        patience: float = PATIENCE,
        stalls: Stalls | None = None,
        absences: Absences | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settling = Settling(policy, absences, stalls)
        self._stalls = stalls or Stalls(lambda: 0, MAX_RETRY_WINDOW)  # of a timer that stands still
        self._absences = absences
        self._measures = Measures(counts or Counts())
        self._look_up = KeyLookUp(self.read, self._settling.look_up)
        self._look_up_fresh = KeyLookUp(self.read, self._settling.look_up_fresh)
        self._writability = Writability(self.run, self._loop.time)
        self._transactions = Transactions(self._settling, self._stalls, remote=remote)
        self._queue_limit = queue_limit
        self._entries: deque[Asker] = deque()
        self._jobs: deque[Job] = deque()
        self._arrived = asyncio.Event()
        self._door = asyncio.Lock()  # one lane at a time waits for what arrives
        self._batch_last = False
        self._coming_again = 0
        self._closing = False
        self.news = News()
        self.folds = Folds()
        for each in (store, *others):
            each.sieve = self.folds
        self._lanes = [Lane(each, self._loop, patience if remote else None) for each in (store, *others)]
        self._serving = [self._loop.create_task(self._serve(lane)) for lane in self._lanes]

    def open(
        self, grant: Grant, now: int, finish: Callable[[Opened], T], proven: Proven | None = None
    ) -> "asyncio.Future[T]":
        """Open a grant. The future resolves to what `finish` makes of it, after the commit.

        `finish` runs in the loop, with a local store while the commit is on its way to the disk. What it makes is
        thrown away if the commit fails. The future raises InvalidCredentials if the key has ended meanwhile, and
        StorageUnavailable if nothing was kept.
        """
        return self._submit(Opening(grant, now, proven), finish)

    def refresh(self, asked: Refreshing, finish: Callable[[Refreshed], T]) -> "asyncio.Future[T]":
        """Decide and carry out a refresh. The future resolves as that of `open`.

        It raises StorageUnavailable if nothing was kept.
        """
        return self._submit(asked, finish)

    def run(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work in a transaction of its own, in a thread. The future resolves after the commit.

        If another transaction was in the way, the work is done once more.
        """
        future = self._job(work, "writes")
        future.add_done_callback(self._writability.note_write)
        return future

    def read(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work that only reads, in a thread. Other processes that write do not hold it up."""
        return self._job(work, "reads")

    def lend(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work that has transactions of its own, in a thread: there may be no other connection."""
        return self._job(work, "looks")

    @property
    def keys(self) -> Keys:
        """What the last transactions saw of keys. Take it before anything is read in a transaction that adds to it."""
        return self._settling.keys

    def cached_key(self, key_id: str) -> ApiKey | None:
        """A key as the last transaction saw it, if it did."""
        return self._settling.keys.get(key_id)

    async def key(self, key_id: str) -> ApiKey | None:
        """A key, from the database if it is not remembered."""
        return self.cached_key(key_id) or await self._look_up.key(key_id)

    async def fresh_key(self, key_id: str) -> ApiKey | None:
        """A key as the database has it, not as it is remembered: it may have a secret that was made a moment ago."""
        return await self._look_up_fresh.key(key_id)

    def forget_key(self, key_id: str, digest: bytes) -> None:
        """Read a key again when it is needed next: its digest is another one by now."""
        for name in (key_id, digest):
            self._settling.keys.pop(name, None)

    def policy_at(self, now: int) -> Policy:
        """The policy by which a refresh is judged at an instant."""
        return self._settling.policy_at(now)

    async def observe(self) -> Control:
        """Look at what other processes changed, and forget the keys remembered from before such a change."""
        asked_at = self._stalls.timer()
        control = await self._job(lambda store: store.look(), "looks")
        if self._absences:
            self._absences.seen(asked_at)
        self._settling.keys_at(control.version)
        self.news.seen(control.last_audit)
        return control

    def recount(self) -> None:
        """Forget how many grants each key has. Call it after pruning."""
        self._settling.recount()

    @property
    def is_good(self) -> bool:
        """Whether the last write was kept."""
        return self._writability.is_good

    @property
    def waiting(self) -> int:
        """How many requests and jobs wait for their transaction."""
        return len(self._entries) + len(self._jobs)

    async def require_writable(self) -> None:
        """Raises StorageUnavailable if the last write was not kept, or was long ago and another one is not kept now."""
        await self._writability.require()

    async def close(self) -> None:
        """Finish what waits, then stop. Nothing more is taken in."""
        self._closing = True
        self.news.close()
        self._arrived.set()
        await asyncio.gather(*self._serving)
        while self._lanes:
            await self._lanes.pop().close()

    def _job(self, work: Callable[[Store], T], kind: JobKind) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing or len(self._jobs) >= self._queue_limit:
            future.set_exception(StorageUnavailable("the ledger is closing or full"))
            return future
        self._jobs.append(Job(work, kind, future))
        lasting(f"hourpass.ledger.{kind}", future)
        self._arrived.set()
        return future

    def _submit(self, asked: Opening | Refreshing, finish: Callable[[Any], Any]) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._closing or len(self._entries) >= self._queue_limit:
            future.set_exception(StorageUnavailable("the ledger is closing or full"))
            return future
        try:
            now = self._stalls.require_awake()
        except Stalled as error:
            future.set_exception(error)
            return future
        if not self._entries:  # otherwise the one before it has said so
            self._arrived.set()
        self._entries.append(Asker(asked, finish, future, now, span=lasting("hourpass.ledger", future)))
        return future

    async def _serve(self, lane: Lane) -> None:
        """One lane's turns: each takes what waits, carries it out and tells the callers."""
        while True:
            async with self._door:
                if not await self._gather():
                    return
                jobs = self._next_jobs()
                batch = [] if jobs else self._next_batch()
            if jobs:
                outcomes = await lane.do(partial(do_all, jobs))
                for outcome in outcomes:
                    self._measures.failed(outcome)
                tell_all(jobs, outcomes)
            elif batch:
                await self._settle(lane, batch)
            await asyncio.sleep(0)  # the callers that were just told go first: some of them ask again

    async def _gather(self) -> bool:
        """Wait until there is something to do. False when the ledger is closing and nothing more will come."""
        while not (self._entries or self._jobs):
            if self._closing and not self._coming_again:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        gathered = 0
        while gathered < len(self._entries) < BATCH_LIMIT:
            # More came in the last round of the loop, so more may come in the next: a fuller batch costs each less.
            gathered = len(self._entries)
            await asyncio.sleep(0)
        return True

    def _next_jobs(self) -> list[Job]:
        """In turns with the batches: neither a stream of look-ups nor one of refreshes keeps the other kind waiting."""
        jobs = []
        if self._jobs and (self._batch_last or not self._entries):
            jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
        self._batch_last = not jobs
        return jobs

    def _next_batch(self) -> list[Asker]:
        """Those that have not waited for too long. The others are told so."""
        batch = [self._entries.popleft() for _ in range(min(len(self._entries), BATCH_LIMIT))]
        oldest = self._stalls.timer() - self._stalls.limit
        late = [entry for entry in batch if entry.at < oldest]
        tell_all(late, [Stalled("the request has waited for too long")] * len(late))
        return [entry for entry in batch if entry.at >= oldest] if late else batch

    async def _settle(self, lane: Lane, batch: list[Asker]) -> None:
        """One batch, from its transaction to its answers."""
        began = self._stalls.timer()
        self._measures.begins(len(batch), began - batch[0].at)
        if is_used():
            for entry in batch:
                if entry.span:
                    entry.span.add_event("transaction", {"callers": len(batch)})
        try:
            outcomes, took = await self._transactions.settle(lane, batch, began)
            self._measures.committed(took)
        except Exception as error:
            self._settling.distrust()
            self._writability.note(error)
            self._measures.failed(error)
            if isinstance(error, Unreachable):
                # The callers behind these would wait for the same in vain.
                batch = [*batch, *self._entries]
                self._entries.clear()
            tell_all(batch, [error] * len(batch))
        else:
            self._writability.note(None)
            self._answer(batch, outcomes)

    def _answer(self, batch: list[Asker], outcomes: list[Any]) -> None:
        """Answer. A caller whose grant is held comes again in a later batch, and nobody else waits for that."""
        for entry, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                if not entry.future.done():  # not through `tell_caller`: each exchange and refresh pays for the call
                    entry.future.set_result(outcome)
            elif isinstance(outcome, GrantHeld) and entry.tries < len(HELD_PAUSES):
                self._coming_again += 1
                later = msgspec.structs.replace(entry, tries=entry.tries + 1)
                self._loop.call_later(HELD_PAUSES[entry.tries], self._come_again, later)
            else:
                tell_caller(entry, outcome)

    def _come_again(self, entry: Asker) -> None:
        self._coming_again -= 1
        self._entries.append(entry)
        self._arrived.set()
