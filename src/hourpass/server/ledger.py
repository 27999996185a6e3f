"""The ledger: many callers, one transaction, each answered after the commit.

Whatever waits goes into the next transaction. The statements run in the event loop, between requests, because they are
short and contend for the interpreter lock anyway; the commit, which waits for the disk, runs in a thread while the next
batch gathers. Work that may take longer runs in that thread whole.

The ledger carries out what `core.grant` decides. It holds no rule.
"""

import asyncio
import hmac
import threading
from collections import Counter, deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import msgspec

from hourpass.core import audit
from hourpass.core.api_key import ApiKey, allows_ip, is_usable
from hourpass.core.errors import InvalidCredentials, StorageUnavailable
from hourpass.core.grant import (
    Ahead,
    Dead,
    Decision,
    Grant,
    GrantRef,
    Replay,
    Rotate,
    closing_order,
    decide_refresh,
    excess_grants,
    generation_tag,
)
from hourpass.core.policy import Policy
from hourpass.core.revocation import Revocation
from hourpass.server.store import Control, Store

QUEUE_LIMIT = 10_000
"""Callers beyond this are told to come back at once: waiting longer than a client's time-out helps nobody."""

BATCH_LIMIT = 256
"""A transaction's statements hold the event loop; this many take a few milliseconds."""

KEYS_KEPT = 100_000
"""API keys remembered between transactions. Reading one again costs a few microseconds."""

T = TypeVar("T")


class Opening(msgspec.Struct, frozen=True):
    """A grant to open, and when the exchange was asked for."""

    grant: Grant
    now: int


class Refreshing(NamedTuple):
    """A proven refresh token: its grant, generation and tag, and from where and when it was presented."""

    ref: GrantRef
    generation: int
    tag: bytes
    address: str | None
    now: int


class Refreshed(NamedTuple):
    """The decision, with the key of the grant, and the revocation that a replay caused."""

    decision: Decision
    key: ApiKey | None
    revocation: Revocation | None


class Opened(msgspec.Struct, frozen=True):
    """The grant is open; `closed` others of its key had to make room."""

    key: ApiKey
    closed: int


class _Entry(msgspec.Struct, frozen=True):
    asked: Opening | Refreshing
    finish: Callable[[Any], Any]
    future: "asyncio.Future[Any]"


class _Job(NamedTuple):
    work: Callable[[Store], Any]
    begin: Callable[[], Any]
    future: "asyncio.Future[Any]"


class Ledger:
    """Group commit in front of one store. Belongs to one event loop."""

    def __init__(self, store: Store, policy: Policy, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self._store = store
        self._policy = policy
        self._queue_limit = queue_limit
        self._entries: deque[_Entry] = deque()
        self._jobs: deque[_Job] = deque()
        self._keys: dict[str, ApiKey] = {}
        self._keys_version = -1
        self._live: dict[str, int] = {}
        self._busy = False
        self._gathered = 0
        self._batch_last = False
        self._closing = False
        self._handed: SimpleQueue[Callable[[], Callable[[], None]] | None] = SimpleQueue()
        self._begin_writing = lambda: store.begin(wait=True)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._thread_main, name="hourpass-ledger", daemon=True)
        self._thread.start()

    def open(self, grant: Grant, now: int, finish: Callable[[Opened], T]) -> "asyncio.Future[T]":
        """Open a grant; resolves to what `finish` makes of it, after the commit.

        `finish` runs while the commit is on its way to the disk; what it makes is thrown away if the commit fails. The
        future raises InvalidCredentials where the key has ended meanwhile, StorageUnavailable where nothing was
        kept.
        """
        return self._submit(Opening(grant, now), finish)

    def refresh(self, asked: Refreshing, finish: Callable[[Refreshed], T]) -> "asyncio.Future[T]":
        """Decide and carry out a refresh; resolves to what `finish` makes of it, after the commit. As for `open`.

        The future raises StorageUnavailable where nothing was kept.
        """
        return self._submit(asked, finish)

    def run(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work in a transaction of its own, in the ledger's thread; resolves after the commit."""
        return self._job(work, self._begin_writing)

    def read(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Run work that only reads, in the ledger's thread. Other processes that write do not hold it up."""
        return self._job(work, self._store.begin_reading)

    def cached_key(self, key_id: str) -> ApiKey | None:
        """A key as the last transaction saw it, if it did."""
        return self._keys.get(key_id)

    async def key(self, key_id: str) -> ApiKey | None:
        """A key, from the database where it is not remembered."""
        return self._keys.get(key_id) or await self.read(lambda store: self._key(store, key_id))

    async def observe(self) -> Control:
        """What other processes changed; keys remembered from before such a change are forgotten."""
        control = await self.read(lambda store: store.control())
        if control.version != self._keys_version:
            self._keys.clear()
            self._keys_version = control.version
        return control

    async def close(self) -> None:
        """Finish what waits, then stop. Nothing more is taken in."""
        self._closing = True
        while self._busy or self._entries or self._jobs:
            await asyncio.sleep(0.005)
        self._handed.put(None)
        await asyncio.to_thread(self._thread.join)

    def _job(self, work: Callable[[Store], T], begin: Callable[[], object]) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing or len(self._jobs) >= self._queue_limit:
            future.set_exception(StorageUnavailable("the ledger is closing or full"))
            return future
        self._jobs.append(_Job(work, begin, future))
        self._start()
        return future

    def _submit(self, asked: Opening | Refreshing, finish: Callable[[Any], Any]) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._closing or len(self._entries) >= self._queue_limit:
            future.set_exception(StorageUnavailable("the ledger is closing or full"))
            return future
        self._entries.append(_Entry(asked, finish, future))
        self._start()
        return future

    # One turn at a time: `_busy` from the moment one is scheduled until its callers were answered.

    def _start(self) -> None:
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._gathered < len(self._entries) < BATCH_LIMIT:
            # More came in the last round of the loop, so more may come in the next: a fuller batch costs each less.
            self._gathered = len(self._entries)
            self._loop.call_soon(self._turn)
            return
        self._gathered = 0
        if self._jobs and (self._batch_last or not self._entries):
            # In turns: neither a stream of look-ups nor one of refreshes keeps the other kind waiting.
            self._batch_last = False
            jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
            self._handed.put(lambda: self._run_jobs(jobs))
            return
        self._batch_last = True
        batch = [self._entries.popleft() for _ in range(min(len(self._entries), BATCH_LIMIT))]
        try:
            if self._store.begin(wait=False):
                self._apply(batch)
            else:
                self._handed.put(lambda: self._begin_waiting(batch))
        except StorageUnavailable as error:
            self._fail(batch, error)

    def _apply(self, batch: list[_Entry]) -> None:
        try:
            answers = self._settle(batch)
        except Exception as error:
            self._store.rollback()
            self._fail(batch, error)
            return
        results: list[Any] = []
        self._handed.put(lambda: self._commit(batch, results))
        # While the disk is at work: by the time it is done, most or all of the answers are made.
        results += [_finished(entry, answer) for entry, answer in zip(batch, answers, strict=True)]

    def _done(self) -> None:
        self._busy = False
        if self._entries or self._jobs:
            self._start()

    def _fail(self, batch: list[_Entry], error: BaseException) -> None:
        # What was counted or remembered in a transaction that is gone is not to be believed.
        self._live.clear()
        self._keys_version = -1
        for entry in batch:
            if not entry.future.done():
                entry.future.set_exception(error)
        self._done()

    # What runs in the thread: it returns what the loop is to do next.

    def _thread_main(self) -> None:
        while (task := self._handed.get()) is not None:
            self._loop.call_soon_threadsafe(task())
            task = None

    def _begin_waiting(self, batch: list[_Entry]) -> Callable[[], None]:
        try:
            self._store.begin(wait=True)
        except Exception as error:
            failure = error
            return lambda: self._fail(batch, failure)
        return lambda: self._apply(batch)

    def _commit(self, batch: list[_Entry], results: list[Any]) -> Callable[[], None]:
        try:
            self._store.commit()
        except Exception as error:
            self._store.rollback()
            failure = error
            return lambda: self._fail(batch, failure)
        return lambda: self._answer(batch, results)

    def _answer(self, batch: list[_Entry], results: list[Any]) -> None:
        for entry, result in zip(batch, results, strict=True):
            if entry.future.done():
                continue
            if isinstance(result, Exception):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)
        self._done()

    def _run_jobs(self, jobs: list[_Job]) -> Callable[[], None]:
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        locked: StorageUnavailable | None = None
        for job in jobs:
            try:
                if job.begin is self._begin_writing and locked is not None:
                    # One wait for the database a turn: who only reads is behind these writers.
                    raise locked
                try:
                    job.begin()
                except StorageUnavailable as error:
                    locked = error
                    raise
                result = job.work(self._store)
                self._store.commit()
                outcomes.append((job, result, None))
            except Exception as error:
                self._store.rollback()
                outcomes.append((job, None, error))

        def deliver() -> None:
            for job, result, error in outcomes:
                if job.future.done():
                    continue
                if error is None:
                    job.future.set_result(result)
                else:
                    job.future.set_exception(error)
            self._done()

        return deliver

    # Inside a transaction.

    def _settle(self, batch: list[_Entry]) -> list[Any]:
        version = self._store.control().version
        if version != self._keys_version:
            # Another process changed keys: what was remembered may let an ended one through.
            self._keys.clear()
            self._keys_version = version
        openings = [entry.asked for entry in batch if isinstance(entry.asked, Opening)]
        refreshings = [entry.asked for entry in batch if isinstance(entry.asked, Refreshing)]
        opened = iter(self._open_all(openings) if openings else ())
        refreshed = iter(self._refresh_all(refreshings) if refreshings else ())
        return [next(opened) if isinstance(entry.asked, Opening) else next(refreshed) for entry in batch]

    def _open_all(self, openings: list[Opening]) -> list[Any]:
        grants: list[Grant] = []
        answers: list[Any] = []
        latest: dict[str, int] = {}
        for asked in openings:
            key = self._key(self._store, asked.grant.key_id)
            if key is None or not is_usable(key, asked.now):
                answers.append(InvalidCredentials("the key ended while the exchange was under way"))
            else:
                latest[key.key_id] = len(answers)
                grants.append(asked.grant)
                answers.append(Opened(key, 0))
        self._store.add_grants(grants)
        newcomers = Counter(grant.key_id for grant in grants)
        for key_id, position in latest.items():
            closed = self._make_room(key_id, newcomers[key_id], openings[position].now)
            if closed:
                answers[position] = Opened(answers[position].key, closed)
        return answers

    def _make_room(self, key_id: str, newcomers: int, now: int) -> int:
        """Close what is over the key's cap; returns how many were."""
        known = self._live.get(key_id)
        live = self._store.count_grants(key_id) if known is None else known + newcomers
        if known is not None and excess_grants(live, self._policy):
            # The count is ours alone: it drifts by what was revoked, pruned, and opened by others.
            live = self._store.count_grants(key_id)
        self._live[key_id] = live
        excess = excess_grants(live, self._policy)
        if not excess:
            return 0
        closing = closing_order(self._store.grant_ages(key_id), excess)
        self._store.delete_grants([GrantRef(key_id, grant_id) for grant_id in closing])
        self._store.append_audit(now, [audit.GrantsClosed(key_id, len(closing))])
        self._live[key_id] = live - len(closing)
        return len(closing)

    def recount(self) -> None:
        """Forget how many grants each key has; called after pruning."""
        self._live.clear()

    def _refresh_all(self, refreshings: list[Refreshing]) -> list[Refreshed]:
        """Decide each in turn on the state that the one before it left, then store what changed.

        Where another node changed a grant meanwhile, those are read and decided again: the loser of a race sees a
        retry.
        """
        answers: dict[int, Refreshed] = {}
        undecided = list(range(len(refreshings)))
        while undecided:
            refs = list({refreshings[i].ref: None for i in undecided})
            before = self._store.grants(refs)
            state: dict[GrantRef, Grant | None] = {ref: before.get(ref) for ref in refs}
            decided: list[tuple[int, Refreshed]] = []
            for i in undecided:
                asked = refreshings[i]
                answer = self._decide(state[asked.ref], asked)
                decided.append((i, answer))
                if isinstance(answer.decision, Rotate | Replay):
                    state[asked.ref] = answer.decision.grant
            rotated = [
                (before[ref].generation, grant)
                for ref, grant in state.items()
                if grant is not None and grant.generation != before[ref].generation
            ]
            saved = self._store.save_rotations(rotated) if rotated else set()
            lost = {grant.ref for _, grant in rotated} - saved if len(saved) < len(rotated) else None
            undecided = []
            for i, answer in decided:
                if lost and refreshings[i].ref in lost:
                    undecided.append(i)
                else:
                    answers[i] = self._record(refreshings[i], answer)
        return [answers[i] for i in range(len(refreshings))]

    def _decide(self, grant: Grant | None, asked: Refreshing) -> Refreshed:
        if grant is None or not hmac.compare_digest(generation_tag(grant.seed, asked.generation), asked.tag):
            return Refreshed(Dead("unknown"), None, None)
        key = self._key(self._store, grant.key_id)
        policy = self._policy.with_retry_window(key.retry_window if key else None)
        usable = key is not None and is_usable(key, asked.now) and allows_ip(key, asked.address)
        return Refreshed(decide_refresh(grant, asked.generation, asked.now, policy, key_usable=usable), key, None)

    def _record(self, asked: Refreshing, answer: Refreshed) -> Refreshed:
        """Carry out what a decision asks for beyond the grant's new generation."""
        decision = answer.decision
        if not isinstance(decision, Replay | Ahead):
            return answer
        grant = decision.grant
        ids = (grant.grant_id.hex(), grant.key_id, asked.generation, grant.generation)
        if isinstance(decision, Ahead):
            self._store.append_audit(asked.now, [audit.RefreshAhead(*ids)])
            return answer
        if not self._store.revoke_grant(grant):
            return answer
        self._store.append_audit(asked.now, [audit.RefreshReplayed(*ids)])
        until = asked.now + self._policy.revocation_lifetime
        return answer._replace(revocation=self._store.add_revocation("grant", grant.grant_id.hex(), until))

    def _key(self, store: Store, key_id: str) -> ApiKey | None:
        key = self._keys.get(key_id)
        if key is None:
            key = store.key(key_id)
            if key is not None:
                if len(self._keys) >= KEYS_KEPT:
                    self._keys.clear()
                self._keys[key_id] = key
        return key


def _finished(entry: _Entry, answer: Any) -> Any:
    """What the caller will get, an exception included. No answer is made for a caller who has left."""
    if isinstance(answer, Exception) or entry.future.done():
        return answer
    try:
        return entry.finish(answer)
    except Exception as error:
        return error
