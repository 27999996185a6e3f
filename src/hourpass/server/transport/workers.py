"""Worker processes: each is a node of its own, which shares the port and the database with the others and nothing else.

The parent answers no requests. It starts a worker again that has ended, and passes on that it is time to stop.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from hourpass.core.errors import ConfigurationError, HourpassError

RESTART_PAUSE = 1.0
"""Seconds before a worker that has ended is started again: one that cannot live would keep a core busy."""

LONGEST_PAUSE = 30.0
"""The pause doubles up to this while a worker ends within as many seconds of its start: each start writes lines."""

LOOK_EVERY = 0.25
"""Seconds between looks at what is due."""

log = logging.getLogger("hourpass")


class Worker(NamedTuple):
    """What a worker is told: its number, from 0, and a file descriptor that is readable once the parent is gone."""

    number: int
    parent: int


Work = Callable[[Worker, Callable[[], None]], None]
"""Serves until TERM, INT or HUP; calls what it is given when it listens."""


def ending_signals() -> list[signal.Signals]:
    """What makes a server drain and end. HUP too, if it is not ignored: nohup asks for that."""
    hup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hup]


def run_workers(count: int, work: Work, ready: Callable[[], None]) -> None:
    """Run `work` in so many processes until TERM, INT or HUP, and return when all of them have ended.

    To be called before this process has any thread: it is forked.

    Raises:
        ConfigurationError: where a worker ended before all of them listened; it has logged why.
    """
    awaited = {*ending_signals(), signal.SIGCHLD, signal.SIGALRM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    workers = _Workers(work)
    begun = [workers.start(number) for number in range(count)]
    if all(map(workers.listens, begun)):
        ready()
        signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY, LOOK_EVERY)  # sigtimedwait would do, but macOS has none
        while signal.sigwait(awaited) in (signal.SIGCHLD, signal.SIGALRM):
            workers.replace_ended(time.monotonic())
        workers.stop()
    else:
        workers.stop()
        raise ConfigurationError("a worker did not start; see above")


class _Workers:
    """The processes that run, by their ids."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._numbers: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._parent, self._held = os.pipe()

    def start(self, number: int) -> int:
        """Start a worker; returns a file descriptor that says a byte when it listens, and ends when it ends."""
        told, tell = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(told)
            os.close(self._held)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            _be(self._work, Worker(number, self._parent), tell)
        os.close(tell)
        self._numbers[pid] = number
        return told

    def listens(self, told: int) -> bool:
        """Wait until a worker listens, or has ended."""
        try:
            return os.read(told, 1) != b""
        finally:
            os.close(told)

    def replace_ended(self, now: float) -> None:
        """Take note of those that have ended, and start those again whose pause is over. `now` never steps back."""
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            number = self._numbers.pop(pid)
            log.error("a worker ended", extra={"worker": number, "status": os.waitstatus_to_exitcode(status)})
            died_young = now - self._started.get(number, float("-inf")) < LONGEST_PAUSE
            pause = min(2 * self._pauses[number], LONGEST_PAUSE) if died_young else RESTART_PAUSE
            self._pauses[number], self._due[number] = pause, now + pause
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._started[number] = now
            os.close(self.start(number))

    def stop(self) -> None:
        """Let all of them drain, and wait for it."""
        for pid in self._numbers:
            os.kill(pid, signal.SIGTERM)
        for pid in self._numbers:
            os.waitpid(pid, 0)


def _be(work: Work, worker: Worker, tell: int) -> NoReturn:
    """Do a worker's work and end the process: nothing of what the parent would do after it is a worker's to do."""
    status = 1
    try:
        work(worker, lambda: _say(tell))
        status = 0
    except HourpassError as error:
        log.error("the worker cannot serve", extra={"worker": worker.number, "detail": error.detail or error.code})  # noqa: TRY400
    except BaseException:
        log.exception("the worker failed", extra={"worker": worker.number})
    finally:
        logging.shutdown()
        os._exit(status)


def _say(tell: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for a worker that was started again
        os.write(tell, b"!")
    os.close(tell)
