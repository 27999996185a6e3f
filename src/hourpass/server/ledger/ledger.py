"""The ledger: many callers, one transaction, each answered after the commit.

Whatever waits goes into the next transaction. With a local store its statements run in the event loop, between
requests, because they are short and contend for the interpreter lock anyway; the commit, which waits for the disk, runs
in a thread while the next batch gathers. Statements of a remote store wait for a network: such a batch runs in its
thread whole, and each further connection carries one more at the same time. Other work runs in a thread always.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, cast

import msgspec

from hourpass.core.api_key import ApiKey, Proven
from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Grant
from hourpass.core.policy import Policy
from hourpass.server.ledger.absences import Absences
from hourpass.server.ledger.batch import Opened, Opening, Refreshed, Refreshing, Settling
from hourpass.server.ledger.key_lookup import KeyLookUp
from hourpass.server.ledger.lane import Lane
from hourpass.server.ledger.remembered import Keys
from hourpass.server.ledger.stall import Stalled, Stalls
from hourpass.server.store import Control, GrantHeld, SharedStore, Store, TransactionConflict, Unreachable, persist

__all__ = ["BATCH_LIMIT", "Ledger", "Opened", "Refreshed", "Refreshing"]

QUEUE_LIMIT = 10_000
"""Callers beyond this are told to come back at once: waiting longer than a client's time-out helps nobody."""

BATCH_LIMIT = 256
"""A transaction's statements hold the event loop; this many take a few milliseconds."""

PATIENCE = 6.0
"""Seconds a remote store may take for one turn: longer than any of its statements may, and with an attempt to connect
after it still shorter than a client waits."""

WAITS = 2_000
"""Milliseconds for which a batch may wait for other transactions, besides what makes a stall."""

HELD_PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4)
"""Seconds before each further batch that takes a caller along whose grant another transaction held: 1.9 in all."""

PROOF_LASTS = 10.0
"""Seconds for which a write that was kept shows that the database takes writes."""

PROOF_PAUSE = 1.0
"""Seconds between two tries of a database that takes none."""

T = TypeVar("T")


class _Entry(msgspec.Struct, frozen=True):
    asked: Opening | Refreshing
    finish: Callable[[Any], Any]
    future: "asyncio.Future[Any]"
    at: int
    tries: int = 0


class _Job(NamedTuple):
    work: Callable[[Store], Any]
    kind: Literal["writes", "reads", "looks"]
    future: "asyncio.Future[Any]"


class Ledger:
    """Group commit in front of one database. Belongs to one event loop.

    `remote` says that the store waits for a network; `others` are further connections of the same kind. With `stalls`
    nothing is carried out that has waited while this process stood still; `absences` is told when the
    database was seen.
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
    ) -> None:
        self._settling = Settling(policy, absences, stalls)
        self._stalls = stalls
        self._absences = absences
        self._look_up = KeyLookUp(self.read, self._settling.look_up)
        self._look_up_fresh = KeyLookUp(self.read, self._settling.look_up_fresh)
        self._remote = remote
        self._queue_limit = queue_limit
        self._patience = patience
        self._entries: deque[_Entry] = deque()
        self._jobs: deque[_Job] = deque()
        self._loop = asyncio.get_running_loop()
        self._lanes = [Lane(each, self._loop) for each in (store, *others)]
        self._idle = list(self._lanes)
        self._turning = False
        self._gathered = 0
        self._batch_last = False
        self._coming_again = 0
        self._closing = False
        self._wrote_at = -PROOF_LASTS
        self._refused_at = -PROOF_PAUSE
        self._refused: StorageUnavailable | None = None
        self._proof: asyncio.Future[None] | None = None

    def open(
        self, grant: Grant, now: int, finish: Callable[[Opened], T], proven: Proven | None = None
    ) -> "asyncio.Future[T]":
        """Open a grant; resolves to what `finish` makes of it, after the commit.

        `finish` runs in the loop, with a local store while the commit is on its way to the disk; what it makes is
        thrown away if the commit fails. The future raises InvalidCredentials where the key has ended meanwhile,
        StorageUnavailable where nothing was kept.
        """
        return self._submit(Opening(grant, now, proven), finish)

    def refresh(self, asked: Refreshing, finish: Callable[[Refreshed], T]) -> "asyncio.Future[T]":
        """Decide and carry out a refresh; resolves to what `finish` makes of it, after the commit. As for `open`.

        The future raises StorageUnavailable where nothing was kept.
        """
        return self._submit(asked, finish)

    def run(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work in a transaction of its own, in a thread; resolves after the commit.

        Where another transaction was in the way, the work is done once more.
        """
        future = self._job(work, "writes")
        future.add_done_callback(self._note_write)
        return future

    def read(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work that only reads, in a thread. Other processes that write do not hold it up."""
        return self._job(work, "reads")

    @property
    def keys(self) -> Keys:
        """What the last transactions saw of keys. Take it before anything is read in a transaction that adds to it."""
        return self._settling.keys

    def cached_key(self, key_id: str) -> ApiKey | None:
        """A key as the last transaction saw it, if it did."""
        return self._settling.remembered_key(key_id)

    async def key(self, key_id: str) -> ApiKey | None:
        """A key, from the database where it is not remembered."""
        return self._settling.remembered_key(key_id) or await self._look_up.key(key_id)

    async def fresh_key(self, key_id: str) -> ApiKey | None:
        """A key as it is now, whatever is remembered: it may have a secret that was made a moment ago."""
        return await self._look_up_fresh.key(key_id)

    def policy_at(self, now: int) -> Policy:
        """The policy by which a refresh is judged at an instant."""
        return self._settling.policy_at(now)

    async def observe(self) -> Control:
        """What other processes changed; keys remembered from before such a change are forgotten."""
        asked_at = self._stalls.timer() if self._stalls else 0
        control = await self._job(lambda store: store.look(), "looks")
        if self._absences:
            self._absences.seen(asked_at)
        self._settling.keys_at(control.version)
        return control

    def recount(self) -> None:
        """Forget how many grants each key has; called after pruning."""
        self._settling.recount()

    # Whether the database takes writes. Only a write tells; reads go on where none can be kept.

    async def require_writable(self) -> None:
        """Raises StorageUnavailable if the last write was not kept, or none is now that none was for a while."""
        now = self._loop.time()
        if self._refused is not None and now - self._refused_at < PROOF_PAUSE:
            raise self._refused
        if self._refused is None and now - self._wrote_at < PROOF_LASTS:
            return
        if self._proof is None or self._proof.done():
            self._proof = self.run(lambda store: store.prove_writable())
        await asyncio.shield(self._proof)

    def _note_write(self, written: "asyncio.Future[Any]") -> None:
        if not written.cancelled():
            self._note(written.exception())

    def _note(self, error: BaseException | None) -> None:
        if error is None:
            self._wrote_at, self._refused = self._loop.time(), None
        elif isinstance(error, StorageUnavailable) and not isinstance(error, TransactionConflict):
            self._refused_at, self._refused = self._loop.time(), error

    async def close(self) -> None:
        """Finish what waits, then stop. Nothing more is taken in."""
        self._closing = True
        while len(self._idle) < len(self._lanes) or self._entries or self._jobs or self._coming_again:
            await asyncio.sleep(0.005)
        while self._lanes:
            await self._lanes.pop().close()

    def _job(self, work: Callable[[Store], T], kind: Literal["writes", "reads", "looks"]) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing or len(self._jobs) >= self._queue_limit:
            future.set_exception(StorageUnavailable("the ledger is closing or full"))
            return future
        self._jobs.append(_Job(work, kind, future))
        self._start()
        return future

    def _submit(self, asked: Opening | Refreshing, finish: Callable[[Any], Any]) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._closing or len(self._entries) >= self._queue_limit:
            future.set_exception(StorageUnavailable("the ledger is closing or full"))
            return future
        if self._stalls and self._stalls.is_closed():
            future.set_exception(Stalled("this process stood still"))
            return future
        self._entries.append(_Entry(asked, finish, future, self._stalls.timer() if self._stalls else 0))
        self._start()
        return future

    # A turn takes a lane that is idle and gives it what waits; the lane is idle again once its callers are answered.

    def _start(self) -> None:
        if self._idle and not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._gathered < len(self._entries) < BATCH_LIMIT:
            # More came in the last round of the loop, so more may come in the next: a fuller batch costs each less.
            self._gathered = len(self._entries)
            self._loop.call_soon(self._turn)
            return
        self._gathered = 0
        self._turning = False
        if not self._entries and not self._jobs:
            return  # a batch that found the database away took them along
        lane = self._idle.pop()
        if self._jobs and (self._batch_last or not self._entries):
            # In turns: neither a stream of look-ups nor one of refreshes keeps the other kind waiting.
            self._batch_last = False
            jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
            self._watch(lane)
            lane.hand(lambda: self._run_jobs(lane, jobs))
        else:
            self._batch_last = True
            batch = self._prompt([self._entries.popleft() for _ in range(min(len(self._entries), BATCH_LIMIT))])
            began = self._stalls.timer() if self._stalls else 0
            if self._remote:
                self._watch(lane)
                lane.hand(lambda: self._run_batch(lane, batch, began))
            else:
                self._begin(lane, batch, began)
        if self._entries or self._jobs:
            self._start()

    def _prompt(self, batch: list[_Entry]) -> list[_Entry]:
        """Those that have not waited for too long; the others are told so."""
        if self._stalls is None:
            return batch
        oldest = self._stalls.timer() - self._stalls.limit
        late = [entry for entry in batch if entry.at < oldest]
        _resolve(late, [Stalled("the request has waited for too long")] * len(late))
        return [entry for entry in batch if entry.at >= oldest] if late else batch

    def _require_prompt(self, began: int) -> None:
        """Called just before a commit: what a stalled transaction decided is too old to be kept."""
        if self._stalls:
            self._stalls.require_prompt(began, allowance=WAITS)

    def _done(self, lane: Lane) -> None:
        if lane.watch is not None:
            lane.watch.cancel()
            lane.watch = None
        self._idle.append(lane)
        if self._entries or self._jobs:
            self._start()

    def _answer(self, lane: Lane, batch: list[_Entry], results: list[Any]) -> None:
        self._note(None)
        _resolve(batch, results)
        self._done(lane)

    def _answer_or_retry(self, lane: Lane, batch: list[_Entry], results: list[Any]) -> None:
        """Answer, but for those whose grant is held: they come again in a later batch, which nobody else waits for."""
        answered: list[tuple[_Entry, Any]] = []
        for entry, result in zip(batch, results, strict=True):
            if isinstance(result, GrantHeld) and entry.tries < len(HELD_PAUSES):
                self._coming_again += 1
                later = msgspec.structs.replace(entry, tries=entry.tries + 1)
                self._loop.call_later(HELD_PAUSES[entry.tries], self._come_again, later)
            else:
                answered.append((entry, result))
        self._answer(lane, [entry for entry, _ in answered], [result for _, result in answered])

    def _come_again(self, entry: _Entry) -> None:
        self._coming_again -= 1
        self._entries.append(entry)
        self._start()

    def _fail(self, lane: Lane, batch: list[_Entry], error: Exception) -> None:
        self._settling.distrust()
        self._note(error)
        if isinstance(error, Unreachable):
            # Whoever waits behind these would wait for the same in vain.
            batch = batch + [self._entries.popleft() for _ in range(len(self._entries))]
        _resolve(batch, [error] * len(batch))
        self._done(lane)

    # A batch of a local store: the statements in the loop, waiting in the thread.

    def _begin(self, lane: Lane, batch: list[_Entry], began: int) -> None:
        try:
            if lane.store.begin(wait=False):
                self._apply(lane, batch, began)
            else:
                lane.hand(lambda: self._begin_waiting(lane, batch, began))
        except Exception as error:
            self._fail(lane, batch, error)

    def _begin_waiting(self, lane: Lane, batch: list[_Entry], began: int) -> Callable[[], None]:
        try:
            lane.store.begin(wait=True)
        except Exception as error:
            failure = error
            return lambda: self._fail(lane, batch, failure)
        return lambda: self._apply(lane, batch, began)

    def _apply(self, lane: Lane, batch: list[_Entry], began: int) -> None:
        try:
            answers = self._settling.settle(lane.store, [entry.asked for entry in batch])
        except Exception as error:
            lane.store.rollback()
            self._fail(lane, batch, error)
            return
        results: list[Any] = []
        lane.hand(lambda: self._commit(lane, batch, results, began))
        # While the disk is at work: by the time it is done, most or all of the answers are made.
        results += _finished(batch, answers)

    def _commit(self, lane: Lane, batch: list[_Entry], results: list[Any], began: int) -> Callable[[], None]:
        try:
            self._require_prompt(began)
            lane.store.commit()
        except Exception as error:
            lane.store.rollback()
            failure = error
            return lambda: self._fail(lane, batch, failure)
        return lambda: self._answer(lane, batch, results)

    # A batch of a remote store: all of it in the thread.

    def _watch(self, lane: Lane) -> None:
        if self._remote:
            lane.watch = self._loop.call_later(self._patience, self._cut, lane)

    def _cut(self, lane: Lane) -> None:
        cast("SharedStore", lane.store).interrupt()
        # A pooler takes a new connection although the database behind it is away: that one may hang, too.
        self._watch(lane)

    def _run_batch(self, lane: Lane, batch: list[_Entry], began: int) -> Callable[[], None]:
        asked = [entry.asked for entry in batch]

        def attempt() -> list[Any]:
            lane.store.begin(wait=False)
            answers = self._settling.settle(lane.store, asked)
            self._require_prompt(began)
            lane.store.commit()
            return answers

        try:
            answers = persist(attempt, lane.store.rollback)
        except Exception as error:
            failure = error
            return lambda: self._fail(lane, batch, failure)
        return lambda: self._answer_or_retry(lane, batch, _finished(batch, answers))

    # Work of other kinds.

    def _run_jobs(self, lane: Lane, jobs: list[_Job]) -> Callable[[], None]:
        outcomes: list[Any] = []
        given_up: dict[str, StorageUnavailable] = {}
        for job in jobs:
            try:
                outcomes.append(persist(lambda: _attempt(lane, job, given_up), lane.store.rollback))  # noqa: B023
            except Exception as error:
                outcomes.append(error)

        def deliver() -> None:
            _resolve(jobs, outcomes)
            self._done(lane)

        return deliver


def _attempt(lane: Lane, job: _Job, given_up: dict[str, StorageUnavailable]) -> Any:
    """One job in its transaction. What kind of transaction could not begin is not waited for again this turn."""
    if job.kind in given_up:
        raise given_up[job.kind]
    try:
        if job.kind == "looks":
            return job.work(lane.store)  # it is a transaction by itself
        lane.begin(reads=job.kind == "reads")
    except StorageUnavailable as error:
        kinds = ("writes", "reads", "looks") if isinstance(error, Unreachable) else (job.kind,)
        given_up.update(dict.fromkeys(kinds, error))
        raise
    result = job.work(lane.store)
    lane.store.commit()
    return result


def _resolve(callers: Sequence[_Entry | _Job], outcomes: Sequence[Any]) -> None:
    """Tell the callers who are still there."""
    for caller, outcome in zip(callers, outcomes, strict=True):
        future = caller.future
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _finished(batch: list[_Entry], answers: list[Any]) -> list[Any]:
    """What the callers will get, exceptions included. No answer is made for a caller who has left."""
    finished = []
    for entry, answer in zip(batch, answers, strict=True):
        if isinstance(answer, Exception) or entry.future.done():
            finished.append(answer)
            continue
        try:
            finished.append(entry.finish(answer))
        except Exception as error:
            finished.append(error)
    return finished
