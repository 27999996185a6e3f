"""Worker processes. Each one is a node of its own, and shares only the port and the database with the others.

The parent answers no requests. If a worker ends, it starts it again. It tells the workers when to stop.
"""

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from hourpass.core.errors import ConfigurationError, HourpassError

RESTART_PAUSE = 1.0
"""Seconds before an ended worker is started again. Without a pause, one that always fails would keep a core busy."""

LONGEST_PAUSE = 30.0
"""Seconds. If a worker ends so soon after its start, the pause doubles, up to this. Each start writes lines."""

LOOK_EVERY = 0.25
"""Seconds between looks for workers to start again."""

WELL, UNWELL = b".", b"!"
"""What a worker tells its parent."""

log = logging.getLogger("hourpass")


class Worker(NamedTuple):
    """What a worker gets: its number, from 0, and a file descriptor that becomes readable when the parent ends."""

    number: int
    parent: int


Work = Callable[[Worker, Callable[[bool], None]], None]
"""Serves until TERM, INT or HUP. It calls the given function when it listens, and then again and again while it lives.
The function takes whether all is well."""


def ending_signals() -> list[signal.Signals]:
    """The signals that make a server drain and end. HUP is one of them unless it is ignored, as under nohup."""
    hup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hup]


def run_workers(
    count: int,
    work: Work,
    ready: Callable[[], None],
    *,
    ended: Callable[[int], None],
    watch: Callable[[int], None],
    stopping: Callable[[], None],
    patience: float | None,
) -> None:
    """Run `work` in `count` processes until TERM, INT or HUP, and return when all of them have ended.

    `ended` is called with the number of a worker that has ended and was not told to. `watch` is called several times a
    second with the number of workers that are not well, and `stopping` when the signal has come. A worker that is
    silent for `patience` seconds hangs: it is killed and started again.

    Call it before this process starts any thread, because the process is forked.

    Raises:
        ConfigurationError: if a worker ended before all of them listened. The worker has logged why.
    """
    awaited = {*ending_signals(), signal.SIGCHLD, signal.SIGALRM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    workers = _Workers(work)
    begun = [workers.start(number) for number in range(count)]
    if all(map(workers.listens, begun)):
        ready()
        signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY, LOOK_EVERY)  # macOS does not have sigtimedwait
        while signal.sigwait(awaited) in (signal.SIGCHLD, signal.SIGALRM):
            now = time.monotonic()
            workers.listen(now, patience)
            workers.replace_ended(now, ended)
            watch(workers.troubled())
        stopping()
        workers.stop()
    else:
        workers.stop()
        raise ConfigurationError("a worker did not start: see the lines above")


class _Heard:
    """What a worker has told. `silent` is for how many seconds it has told nothing, while this process ran."""

    def __init__(self, told: int) -> None:
        self.told = told
        self.well = True
        self.silent: float | None = None


class _Workers:
    """The processes that run, by their ids."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._numbers: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._heard: dict[int, _Heard] = {}
        self._listened_at = time.monotonic()
        self._parent, self._held = os.pipe()

    def start(self, number: int) -> int:
        """Start a worker. Returns a file descriptor that yields a byte when it listens, and closes when it ends."""
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        if (pid := os.fork()) == 0:
            for descriptor in (told, self._held, *(heard.told for heard in self._heard.values())):
                os.close(descriptor)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            _be(self._work, Worker(number, self._parent), tell)
        os.close(tell)
        self._numbers[pid] = number
        self._heard[pid] = _Heard(told)
        return told

    def listens(self, told: int) -> bool:
        """Wait until a worker listens or has ended. False if it has ended."""
        return os.read(told, 1) != b""

    def listen(self, now: float, patience: float | None) -> None:
        """Take in what the workers have told, and kill those that were silent for too long since they first listened.

        Time in which this process did not run, for example because the machine stood still, is nobody's silence.
        """
        passed = min(now - self._listened_at, 2 * LOOK_EVERY)
        self._listened_at = now
        for pid, heard in self._heard.items():
            said = os.read(heard.told, 65_536) if select.select([heard.told], [], [], 0)[0] else b""
            if said:
                heard.well, heard.silent = said.endswith(WELL), 0.0
            elif heard.silent is not None:
                heard.silent += passed
            if patience is not None and heard.silent is not None and heard.silent > patience:
                log.error("a worker hangs", extra={"worker": self._numbers[pid], "seconds": round(heard.silent)})
                os.kill(pid, signal.SIGKILL)
                heard.silent = None

    def troubled(self) -> int:
        """How many workers are not well."""
        return sum(not heard.well for heard in self._heard.values())

    def replace_ended(self, now: float, ended: Callable[[int], None]) -> None:
        """Note the workers that have ended, and start those again whose pause is over. `now` never steps back."""
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            number = self._numbers.pop(pid)
            os.close(self._heard.pop(pid).told)
            log.error("a worker ended", extra={"worker": number, "status": os.waitstatus_to_exitcode(status)})
            ended(number)
            died_young = now - self._started.get(number, float("-inf")) < LONGEST_PAUSE
            pause = min(2 * self._pauses[number], LONGEST_PAUSE) if died_young else RESTART_PAUSE
            self._pauses[number], self._due[number] = pause, now + pause
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._started[number] = now
            self.start(number)

    def stop(self) -> None:
        """Let all workers drain, and wait until they have ended."""
        for pid in self._numbers:
            os.kill(pid, signal.SIGTERM)
        for pid in self._numbers:
            os.waitpid(pid, 0)


def _be(work: Work, worker: Worker, tell: int) -> NoReturn:
    """Do a worker's work, then end the process, so that a worker never runs the parent's code after the fork."""
    status = 1
    try:
        work(worker, lambda well: _say(tell, WELL if well else UNWELL))
        status = 0
    except HourpassError as error:
        log.error("the worker cannot serve", extra={"worker": worker.number, "detail": error.detail or error.code})  # noqa: TRY400
    except BaseException:
        log.exception("the worker failed", extra={"worker": worker.number})
    finally:
        logging.shutdown()
        os._exit(status)


def _say(tell: int, word: bytes) -> None:
    with contextlib.suppress(OSError):  # the parent has ended, or stands still
        os.write(tell, word)
