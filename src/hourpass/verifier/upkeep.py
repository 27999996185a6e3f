"""Keeps fetched documents up to date in the background: the network, the waiting and the waking.

State machines without I/O (`jwks.py`, `revocations.py`) decide when to fetch and what an answer means. Nothing is
decided here. One thread with its own event loop serves callers in threads and in any number of event loops. Instead,
the same coroutine can run in a loop that the caller owns.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Protocol

from hourpass.core.policy import SECOND, backoff
from hourpass.urls import ServerAddress
from hourpass.verifier.connection import Answer, IssuerConnection, Question, reason

Timer = Callable[[], int]
"""Milliseconds of a clock that never steps back and goes on while the machine sleeps."""

NEVER = 2**62
"""The due instant of a document that must wait for something else first."""

LONGEST_SLEEP = SECOND
"""The event loop's clock may stand still while the timer goes on, so the timer is read at least this often."""

AT_ONCE = 50
"""Milliseconds before a failed attempt is tried again for the first time, because mostly the connection was broken."""

BEGIN_AGAIN = SECOND // 2
"""Milliseconds before another try to open an event loop."""

QUARTER = 0.25
"""The random share of a pause."""

STOP_TIMEOUT = 5.0
"""Seconds to wait for the thread to end. Cancelling a request takes almost none."""


class Upkeep(Protocol):
    """The state machine of one document. Instants are the timer's milliseconds. `wall` is epoch milliseconds."""

    failures: int
    """Attempts in a row that failed."""
    problem: str
    """Why the last one failed. Empty if it did not."""

    @property
    def due_at(self) -> int:
        """When to fetch next."""

    def hurry(self, now: int) -> None:
        """Fetch now, without a wait at the server, because a caller waits."""

    def begin(self, now: int) -> Question:
        """Start an attempt: what to ask."""

    def finish(self, answer: Answer, now: int, wall: int) -> None:
        """End an attempt with its answer. Never raises: every answer leads to a state."""


class Keeper:
    """Drives one state machine. `attempt` is done when the current attempt, or else the next one, has ended."""

    def __init__(self, upkeep: Upkeep, after: Callable[[], None]) -> None:
        self._upkeep = upkeep
        self._after = after
        self._bell: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._hurry = asyncio.Event()
        self._hurried_at: int | None = None
        self.attempt: Future[None] = Future()

    def wake(self) -> None:
        """Look again whether a fetch is due. Any thread may call it."""
        if self._bell is not None:
            loop, event = self._bell
            with contextlib.suppress(RuntimeError):  # the loop is closed, so there is nothing to wake
                loop.call_soon_threadsafe(event.set)

    def hope(self, now: int, longest: int) -> int:
        """How many milliseconds to wait for the end of this attempt. 0 if the last one has just failed.

        All callers share one attempt, and `longest` is counted from the first of them. Any thread may call it.
        """
        hurried_at = self._hurried_at
        if hurried_at is None:
            if self._upkeep.failures and self._upkeep.due_at > now + AT_ONCE:
                return 0
            hurried_at = self._hurried_at = now
            if self._bell is not None:
                with contextlib.suppress(RuntimeError):
                    self._bell[0].call_soon_threadsafe(self._make_haste, now)
        return max(0, hurried_at + longest - now)

    def _make_haste(self, now: int) -> None:
        self._hurry.set()
        self._upkeep.hurry(now)
        self.wake()

    async def run(self, connection: IssuerConnection, timer: Timer, wall: Timer) -> None:
        """Fetch whenever it is due, until cancelled."""
        event, self._hurry = asyncio.Event(), asyncio.Event()
        self._bell = asyncio.get_running_loop(), event
        while True:
            delay = self._upkeep.due_at - timer()
            if delay > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(delay, LONGEST_SLEEP) / SECOND):
                        await event.wait()
                event.clear()
                continue
            self._hurry.clear()
            answer = await self._ask(connection, self._upkeep.begin(timer()), timer)
            self.end(answer, timer(), wall())

    async def _ask(self, connection: IssuerConnection, request: Question, timer: Timer) -> Answer:
        """Ask, and return the answer. If this process or its machine stood still meanwhile, ask again in a hurry."""
        asking = asyncio.ensure_future(connection.ask(request, self._hurry))
        try:
            while not asking.done():
                before = timer()
                await asyncio.wait((asking,), timeout=LONGEST_SLEEP / SECOND)
                if timer() - before > 2 * LONGEST_SLEEP:
                    self._hurry.set()
            return asking.result()
        finally:
            asking.cancel()

    def end(self, answer: Answer, now: int, wall: int) -> None:
        """End an attempt with this answer, which may say that it could not start."""
        self._upkeep.finish(answer, now, wall)
        self._after()
        self._hurried_at = None
        ended, self.attempt = self.attempt, Future()
        ended.set_result(None)


class Keepers:
    """Runs keepers in its own thread or in the caller's event loop."""

    def __init__(self, keepers: Sequence[Keeper], timer: Timer, wall: Timer, address: ServerAddress) -> None:
        self._keepers = keepers
        self._address = address
        self._timer = timer
        self._wall = wall
        self._starting = threading.Lock()
        self._worker: _Worker | None = None
        self._hosted = False

    def start(self) -> bool:
        """Start the thread, unless the keepers run already. After a fork they do not. Never waits for the thread.

        False if the system cannot start a thread. Attempts then end with that as their problem, and the next call tries
        again.
        """
        with self._starting:
            if self._hosted or (self._worker is not None and self._worker.is_alive()):
                return True
            worker = _Worker(self._keep, self._fail)
            try:
                worker.start()
            except RuntimeError as error:
                self._fail(str(error))
                return False
            self._worker = worker
            return True

    def stop(self) -> None:
        """End the thread and its requests, and wait for that."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            if worker is not threading.current_thread():
                worker.join(STOP_TIMEOUT)

    def run(self) -> Coroutine[None, None, None]:
        """Run in the caller's event loop, until cancelled. From this call on no thread is started."""
        self.stop()
        self._hosted = True
        return self._run_hosted()

    async def _run_hosted(self) -> None:
        try:
            while True:
                try:
                    await self._keep()
                except Exception as error:  # noqa: BLE001 - as in a thread: callers are told, and it is tried again
                    self._fail(reason(error))
                await asyncio.sleep(BEGIN_AGAIN / SECOND)
        finally:
            self._hosted = False

    def _fail(self, why: str) -> None:
        for keeper in self._keepers:
            keeper.end(Answer(0, {}, b"", why), self._timer(), self._wall())

    async def _keep(self) -> None:
        connection = IssuerConnection(self._address)
        try:
            async with asyncio.TaskGroup() as group:
                for keeper in self._keepers:
                    group.create_task(keeper.run(connection, self._timer, self._wall))
        finally:
            await connection.close()


class _Worker(threading.Thread):
    """Runs `work` in its own event loop, and starts again after any error."""

    def __init__(self, work: Callable[[], Coroutine[None, None, None]], fail: Callable[[str], None]) -> None:
        # A daemon, so that an interpreter that ends does not wait for a slow answer.
        super().__init__(name="hourpass-verifier", daemon=True)
        self._work = work
        self._fail = fail
        self._cancelled = threading.Event()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def run(self) -> None:
        """Run until cancelled."""
        while not self._cancelled.is_set():
            try:
                _require_descriptors()
                asyncio.run(self._main())
            except asyncio.CancelledError:
                return
            except Exception as error:  # noqa: BLE001 - the process may lack anything: callers are told, it tries again
                self._fail(reason(error))
                self._cancelled.wait(BEGIN_AGAIN / SECOND)

    def cancel(self) -> None:
        """End it, from any thread."""
        self._cancelled.set()
        if self._running is not None:
            loop, task = self._running
            with contextlib.suppress(RuntimeError):  # ended meanwhile
                loop.call_soon_threadsafe(task.cancel)

    async def _main(self) -> None:
        work = asyncio.ensure_future(self._work())
        self._running = asyncio.get_running_loop(), work
        if self._cancelled.is_set():
            work.cancel()
        await work


def _require_descriptors() -> None:
    """Raise OSError if an event loop cannot be opened: a half-opened one warns when it is garbage-collected."""
    opened: list[int] = []
    try:
        for _ in range(3):
            opened += os.pipe()
    finally:
        for descriptor in opened:
            os.close(descriptor)


def while_callers_wait(failures: int, random: Callable[[], float]) -> int:
    """Milliseconds before the next attempt while tokens are refused without it: at once, then up to a second."""
    if failures <= 1:
        return AT_ONCE
    return backoff(failures - 2, 1 - random(), first=SECOND // 4, longest=SECOND, share=QUARTER)
