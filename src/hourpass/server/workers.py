"""Worker processes: each is a node of its own, which shares the port and the database with the others and nothing else.

The parent answers no requests. It starts a worker anew that has ended, and passes on that it is time to stop.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from hourpass.core.errors import ConfigurationError, HourpassError

RESTART_PAUSE = 1.0
"""Seconds before a worker that has ended is started anew: one that cannot live would keep a core busy."""

_AWAITED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

log = logging.getLogger("hourpass")


class Worker(NamedTuple):
    """What a worker is told: its number, from 0, and a file descriptor that is readable once the parent is gone."""

    number: int
    parent: int


Work = Callable[[Worker, Callable[[], None]], None]
"""Serves until TERM or INT; calls what it is given when it listens."""


def run_workers(count: int, work: Work, ready: Callable[[], None]) -> None:
    """Run `work` in so many processes until TERM or INT, and return when all of them have ended.

    To be called before this process has any thread: it is forked.

    Raises:
        ConfigurationError: where a worker ended before all of them listened; it has logged why.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    workers = _Workers(work)
    begun = [workers.start(number) for number in range(count)]
    if all(map(workers.listens, begun)):
        ready()
        while signal.sigwait(_AWAITED) == signal.SIGCHLD:
            for number in workers.ended():
                time.sleep(RESTART_PAUSE)
                workers.listens(workers.start(number))
        workers.stop()
    else:
        workers.stop()
        raise ConfigurationError("a worker did not start; see above")


class _Workers:
    """The processes that run, by their ids."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._numbers: dict[int, int] = {}
        self._parent, self._held = os.pipe()

    def start(self, number: int) -> int:
        """Start a worker; returns a file descriptor that says a byte when it listens, and ends when it ends."""
        told, tell = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(told)
            os.close(self._held)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
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

    def ended(self) -> list[int]:
        """The numbers of those that have ended since the last time."""
        numbers = []
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            numbers.append(self._numbers.pop(pid))
            log.error("a worker ended", extra={"worker": numbers[-1], "status": os.waitstatus_to_exitcode(status)})
        return numbers

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
        os._exit(status)


def _say(tell: int) -> None:
    os.write(tell, b"!")
    os.close(tell)
