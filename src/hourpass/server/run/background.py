"""What a running node does besides answering: it observes what others changed, prunes, and keeps SQLite's log short."""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from hourpass.core.audit_chain import ChainBroken
from hourpass.core.errors import HourpassError, StorageUnavailable, Unavailable, as_trouble
from hourpass.core.grant import GrantRef
from hourpass.core.policy import MINUTE, SECOND
from hourpass.core.sign_in import over_at
from hourpass.core.stats import STATS_KEPT
from hourpass.server.clock.timekeeping import Timekeeper
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.run.stats import StatsKeeper
from hourpass.server.run.trail import TrailKeeper
from hourpass.server.store import SharedStore, Store
from hourpass.server.store.grants import FIRST_GRANT
from hourpass.server.store.stats import GRANTS_IN_USE, Measured
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.tally import Meter
from hourpass.server.webhooks.deliverer import Deliverer

OBSERVE_EVERY = 0.25
"""Seconds between looks at what other processes changed. A revocation must be in force within one second."""

MAINTAIN_EVERY = 0.5
"""Seconds between looks at the size of SQLite's log."""

TELL_EVERY = 1.0
"""Seconds between looks at whether a minute of wrong keys is over."""

MEASURE_EVERY = 1.0
"""Seconds between putting down what this process shows of itself. The metrics of other workers are as old as that."""

DELIVER_EVERY = 0.5
"""Seconds between looks at changed webhooks, and between writing down what was delivered."""

CHECK_SCHEMA_EVERY = 5.0
"""Seconds between looks at which migrations the database has: somebody may have put an older one in its place."""

KEEP_COUNTS_EVERY = 10.0
"""Seconds between looks at whether an hour is over of which the audit trail gets only a count."""

PRUNE_EVERY = 300.0
"""Seconds between two walks over the grants, give or take a fifth, so that nodes do not walk in step."""

KEEP_USES_EVERY = 25.0
"""Seconds between writing down which keys were used, give or take a fifth: at most half a minute."""

KEEP_STATS_EVERY = 5.0
"""Seconds between looks at the counts. A minute is written down once, after its end."""

PRUNE_LEASE = 600_000
"""Milliseconds for which the node that pruned last stays the one that prunes: twice the time between walks."""

CHAIN_EVERY = 0.6
"""Seconds between looks at what is to be chained of the audit trail: within a second of being written it is."""

CHAIN_LEASE = 3_000
"""Milliseconds for which the node that chained last stays the one that chains. If it is killed, another one goes on
before a row is late."""

CHAIN_LATE = 5.0
"""Seconds after which a row that is not chained is trouble."""

CHAIN_AT_LEAST = 1_000
"""Milliseconds for which a node that stops chains what is left, even if its time is over."""

UNCHAINED = "audit trail not chained"
"""The event that is logged for rows of the audit trail that are late."""

CALLS_TOGETHER = 500
"""Answers of the admin API that are forgotten in one transaction."""

UNAVAILABLE = "unavailable"
"""The event that is logged for an answer with 503, and for background work that had the same trouble."""


class Background:
    """The jobs of one node, from `start` to `stop`. Each job is repeated, even if it failed.

    `store` is a store of this node alone, whose log is kept short. It is None if nodes share a database server, which
    maintains itself. Then one of the nodes prunes for all. `retention` is the audit trail's, in milliseconds.
    """

    def __init__(
        self,
        issuer: Issuer,
        ledger: Ledger,
        store: Store | None,
        time: Timekeeper,
        limited: LimitedLog,
        meter: Meter,
        webhooks: Deliverer,
        retention: int | None,
    ) -> None:
        self._webhooks = webhooks
        self._issuer = issuer
        self._ledger = ledger
        self._store = store
        self._time = time
        self._clock = time.clock
        self._limited = limited
        self._meter = meter
        self._node = os.urandom(8).hex()
        self.stats = StatsKeeper(issuer.counts, ledger, self._node)
        self._trail = TrailKeeper(ledger, issuer.secrets, time.clock, retention)
        self._broken: set[str] = set()
        meter.values["audit_broken"] = lambda: bool(self._broken)
        self._tasks: list[asyncio.Task[None]] = []
        self._leave_by: int | None = None

    def leave(self, seconds: float) -> None:
        """The node is told to stop, and has so many seconds for it."""
        self._leave_by = self._time.timer() + round(seconds * SECOND)

    def start(self) -> None:
        """Begin all jobs, in the running event loop."""
        jobs = [
            self._time.beat(),
            self._repeat(self.observe, OBSERVE_EVERY),
            self._repeat(self._issuer.storage_checks.look, CHECK_SCHEMA_EVERY),
            self._repeat(self.keep_uses, KEEP_USES_EVERY),
            self._repeat(self.keep_stats, KEEP_STATS_EVERY),
            self._repeat(self.prune, PRUNE_EVERY),
            self._repeat(self.chain, CHAIN_EVERY),
            self._repeat(self._tell_wrong_keys, TELL_EVERY),
            self._repeat(self.keep_counts, KEEP_COUNTS_EVERY),
            self._repeat(self._measure, MEASURE_EVERY),
            self._repeat(self.deliver, DELIVER_EVERY),
        ]
        if self._store is not None:
            jobs.append(self._repeat(self._maintain, MAINTAIN_EVERY))
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def stop(self) -> None:
        """End all jobs, and wait until they have ended.

        A long trail may not be chained by then. The next node that runs goes on with it.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._webhooks.stop()
        self._issuer.authentication.wrong_keys.close()
        self._issuer.replay_log.look(self._clock(), leaving=True)
        # The chain comes last: the others may write to the audit trail.
        least = self._time.timer() + CHAIN_AT_LEAST
        until = least if self._leave_by is None else max(self._leave_by, least)
        chained = self._issuer.audit_chaining.chain(self._clock(), until)
        last_work = (
            ("keep_uses", self.keep_uses()),
            ("keep_stats", self.keep_stats(leaving=True)),
            ("keep_counts", self.keep_counts(leaving=True)),
            ("chain", chained),
        )
        for name, work in last_work:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - as while it ran: nobody waits for this
                self._report_work(name, as_trouble(error))

    async def observe(self) -> None:
        """Take in what other processes changed, and check whether trouble is over."""
        try:
            await self._observe()
        except StorageUnavailable:
            self._trail.trouble()
            raise
        await self._trail.keep_trouble()
        await self._issuer.authentication.moves.keep()

    async def _observe(self) -> None:
        await self._issuer.verification.observe(self._clock())
        await self._time.keep(self._ledger)
        if not self._ledger.is_good:
            self._trail.trouble()
        # A write may have failed for nobody's request: that of a check of readiness.
        if self._limited.is_under_way(UNAVAILABLE) or not self._ledger.is_good:
            await self._ledger.require_writable()  # reading alone proves nothing: it works without a writable database
            self._limited.over(UNAVAILABLE, "storage recovered")

    async def keep_uses(self) -> None:
        """Write down which keys were used since the last time."""
        await self._issuer.last_uses.keep()

    async def keep_stats(self, *, leaving: bool = False) -> None:
        """Write down how often things happened in the minutes that are over."""
        await self.stats.keep(self._clock(), leaving=leaving)

    async def keep_counts(self, *, leaving: bool = False) -> None:
        """Write down how often was folded in the hours that are over."""
        await self._trail.keep_counts(leaving=leaving)

    async def deliver(self) -> None:
        """Keep the webhooks at work, if this node is the one that delivers."""
        await self._webhooks.tick()

    async def prune(self) -> None:
        """Delete grants, revocations, sign-ins and numbers that are over, if this node is the one that prunes."""
        if not await self._leads("prune", PRUNE_LEASE):
            self._broken.discard("prune")  # the node that prunes says so
            self._issuer.pruning.forget_expired(self._clock())
            return
        after: GrantRef | None = FIRST_GRANT
        in_use = 0
        while after is not None:
            after, passed = await self._issuer.pruning.prune(after, self._clock())
            in_use += passed
            await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, not a secret
        counted = Measured(in_use, self._clock())

        def keep(store: Store) -> None:
            store.note_measured(GRANTS_IN_USE, counted)
            store.prune_stats((counted.at - STATS_KEPT) // MINUTE)
            store.prune_sign_ins(*over_at(counted.at))

        await self._ledger.run(keep)
        await self._trail.tell_expiring()
        while await self._ledger.run(self._prune_calls) == CALLS_TOGETHER:
            await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - as above
        with self._noting_what_is_broken("prune"):
            await self._trail.prune()  # last, because it stops at a row that somebody changed

    def _prune_calls(self, store: Store) -> int:
        return store.prune_calls(self._clock(), CALLS_TOGETHER)

    async def chain(self) -> None:
        """Chain what was written to the audit trail, if this node is the one that does."""
        chaining, now = self._issuer.audit_chaining, self._clock()
        with self._noting_what_is_broken("chain"):
            is_behind = await chaining.look(now)
            if chaining.behind > CHAIN_LATE:
                self._limited.trouble(UNCHAINED, seconds=round(chaining.behind))
            else:
                self._limited.over(UNCHAINED, "audit trail chained again")
            if is_behind and await self._leads("chain", CHAIN_LEASE):
                await chaining.chain(now)

    @contextmanager
    def _noting_what_is_broken(self, work: str) -> Iterator[None]:
        """Remember whether work on the trail stopped because the trail is not as it was written."""
        try:
            yield
        except ChainBroken:
            self._broken.add(work)
            raise
        self._broken.discard(work)

    async def _tell_wrong_keys(self) -> None:
        self._issuer.authentication.wrong_keys.look()
        self._issuer.replay_log.look(self._clock())

    async def _measure(self) -> None:
        self._meter.measure()

    async def _maintain(self) -> None:
        if self._store is not None:
            await asyncio.to_thread(self._store.maintain)

    async def _leads(self, work: str, lease: int) -> bool:
        """Whether this node does a job that only one node must do. `lease` is in milliseconds."""
        if self._store is not None:
            return True
        now = self._clock()

        def take(store: Store) -> bool:
            return cast("SharedStore", store).take_lease(work, self._node, now, now + lease)

        return await self._ledger.run(take)

    async def _repeat(self, work: Callable[[], Awaitable[None]], every: float) -> None:
        name = getattr(work, "__name__", "").lstrip("_")
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - background work is repeated after every failure
                self._report_work(name, as_trouble(error))
            self._limited.look()

    def _report_work(self, name: str, error: Exception) -> None:
        match error:
            case Unavailable():
                self._limited.trouble(UNAVAILABLE, work=name, detail=error.detail)
            case HourpassError():
                self._limited.trouble("background work failed", name, detail=error.detail)
            case _:
                self._limited.trouble("background work failed", level=logging.ERROR, error=error, work=name)
