"""Keeping fetched documents up to date in the background: the network, the waiting and the waking.

When to fetch and what an answer means is decided by state machines without I/O (`jwks.py`, `revocations.py`); nothing
is decided here. One thread with an event loop of its own serves callers in threads and in any number of event loops; or
the same coroutine runs in a loop that the caller owns.
"""

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hourpass.verifier.connection import open_client

if TYPE_CHECKING:
    import httpx2

Timer = Callable[[], int]
"""Milliseconds of a clock that never steps back and goes on while the machine sleeps."""

NEVER = 2**62
"""Due when something else has happened first."""

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)
"""Goes on while the machine sleeps, where the platform has it."""

LONGEST_SLEEP = 30.0
"""Seconds. Waiting does not count a machine's sleep, so the timer is looked at this often."""

STOP_TIMEOUT = 5.0
"""Seconds; cancelling a request takes none."""


class Request(NamedTuple):
    """What to ask. `timeout` is for the whole exchange, in milliseconds; `limit` is the longest body, in bytes."""

    url: str
    headers: Mapping[str, str]
    timeout: int
    limit: int


class Answer(NamedTuple):
    """What came back. Status 0: nothing did that counts, and `detail` says why. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    detail: str = ""


class Upkeep(Protocol):
    """The state machine of one document. Instants are the timer's milliseconds, `wall` is epoch milliseconds."""

    @property
    def due_at(self) -> int:
        """When to fetch next."""

    def begin(self, now: int) -> Request:
        """An attempt begins."""

    def finish(self, answer: Answer, now: int, wall: int) -> None:
        """An attempt ended. Never raises: whatever came, a state follows from it."""


class Keeper:
    """Drives one state machine. `attempt` is done when the attempt that is under way, or comes next, has ended."""

    def __init__(self, upkeep: Upkeep, after: Callable[[], None]) -> None:
        self._upkeep = upkeep
        self._after = after
        self._bell: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self.attempt: Future[None] = Future()

    def wake(self) -> None:
        """Look again at what is due. From any thread."""
        if self._bell is not None:
            loop, event = self._bell
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs that could be woken
                loop.call_soon_threadsafe(event.set)

    async def run(self, http: "httpx2.AsyncClient", timer: Timer, wall: Timer) -> None:
        """Fetch whenever it is due, until cancelled."""
        event = asyncio.Event()
        self._bell = asyncio.get_running_loop(), event
        while True:
            delay = self._upkeep.due_at - timer()
            if delay > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(delay / 1000, LONGEST_SLEEP)):
                        await event.wait()
                event.clear()
                continue
            answer = await _fetch(http, self._upkeep.begin(timer()))
            self._upkeep.finish(answer, timer(), wall())
            self._after()
            ended, self.attempt = self.attempt, Future()
            ended.set_result(None)


class Background:
    """Runs keepers, in a thread of its own or in the caller's event loop."""

    def __init__(
        self, keepers: Sequence[Keeper], timer: Timer, wall: Timer, url: str, tls: ssl.SSLContext | None
    ) -> None:
        self._keepers = keepers
        self._url = url
        self._timer = timer
        self._wall = wall
        self._tls = tls
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._cancel: Callable[[], None] = _nothing
        self._hosted = False

    def start(self) -> None:
        """Start the thread unless somebody runs already. After a fork nobody does."""
        with self._starting:
            if self._hosted or (self._thread is not None and self._thread.is_alive()):
                return
            ready = threading.Event()
            # A daemon: an interpreter that ends does not wait for an answer that may take its time.
            self._thread = threading.Thread(
                target=self._in_thread, args=(ready,), name="hourpass-verifier", daemon=True
            )
            self._thread.start()
            ready.wait()

    def stop(self) -> None:
        """End the thread and its requests, and wait for that."""
        thread, self._thread = self._thread, None
        self._cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT)

    def run(self) -> Coroutine[None, None, None]:
        """The same in the caller's event loop, until cancelled. From this call on no thread is started."""
        self.stop()
        self._hosted = True
        return self._run_hosted()

    async def _run_hosted(self) -> None:
        try:
            await self._keep()
        finally:
            self._hosted = False

    def _in_thread(self, ready: threading.Event) -> None:
        async def main() -> None:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            if task is None:  # pragma: no cover - a coroutine that runs is in a task
                return

            def cancel() -> None:
                with contextlib.suppress(RuntimeError):  # ended meanwhile
                    loop.call_soon_threadsafe(task.cancel)

            self._cancel = cancel
            ready.set()
            await self._keep()

        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(main())

    async def _keep(self) -> None:
        async with open_client(self._url, self._tls) as http, asyncio.TaskGroup() as group:
            for keeper in self._keepers:
                group.create_task(keeper.run(http, self._timer, self._wall))


async def _fetch(http: "httpx2.AsyncClient", request: Request) -> Answer:
    """One GET, bounded in time and size. A body that came encoded would defeat the bound."""
    headers = {"accept-encoding": "identity", **request.headers}
    try:
        async with (
            asyncio.timeout(request.timeout / 1000),
            http.stream("GET", request.url, headers=headers) as response,
        ):
            if response.headers.get("content-encoding", "identity") != "identity":
                return Answer(0, {}, b"", "the body is encoded")
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > request.limit:
                    return Answer(0, {}, b"", "the body is too long")
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
    except Exception as error:  # noqa: BLE001 - whatever a library makes of it, no answer came, and the thread goes on
        # Its kind alone: a message may hold what is in the URL.
        return Answer(0, {}, b"", type(error).__name__)


def backoff(failures: int, first: int, longest: int, random: Callable[[], float]) -> int:
    """Milliseconds before the next attempt: doubling, less up to a quarter, so that verifiers do not march in step."""
    delay = min(longest, first << min(failures - 1, 16))
    return max(first, round(delay * (1 - random() / 4)))


def steady_clock() -> int:
    """Milliseconds that never step back."""
    return (time.monotonic_ns() if _BOOT is None else time.clock_gettime_ns(_BOOT)) // 1_000_000


def _nothing() -> None:
    pass
