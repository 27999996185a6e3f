"""Writes lines to their stream in a thread of its own, so that nobody waits for a reader who does not read.

A pipe that nobody empties holds 64 KiB. The next write would stop the event loop, and with it every client.
"""

import os
import queue
import select
import signal
import threading
from collections.abc import Callable
from typing import TextIO

LINES = 1_000
"""How many lines may wait for the reader. Further ones are dropped and counted."""

AT_EXIT = 1.0
"""Seconds for which an ending process waits for its last lines to be written."""


class LineWriter:
    """Writes lines to a stream. It never blocks and never raises, even if the stream fails.

    If lines were dropped, `notice` makes the line that says how many. It is written when half of the queue is free
    again. A stream without a file descriptor is in memory and written at once.
    """

    def __init__(self, stream: TextIO, notice: Callable[[int], str] | None = None) -> None:
        self._notice = notice
        self._memory: TextIO | None = None
        try:
            self._descriptor = stream.fileno()
        except OSError:
            self._memory = stream
        self._begin()
        if self._memory is None:
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # Also after a fork: the parent writes the lines that waited, and the child does not inherit the thread.
        self._waiting: queue.Queue[str] = queue.Queue(LINES)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._untold = 0
        self.dropped = 0

    def write(self, line: str) -> None:
        """Write a line soon, or drop it if too many wait."""
        if self._memory is not None:
            self._memory.write(line + "\n")
            return
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._drop()
        if self._thread is None:
            self._start()

    def flush(self, seconds: float = AT_EXIT) -> None:
        """Wait until all lines are written, but no longer than this."""
        waiting = self._waiting
        with waiting.all_tasks_done:
            waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, seconds)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="hourpass-lines", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return  # no thread can be started now: the next line tries again
                self._thread = thread

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the main thread handles them
        while True:
            self._put(self._waiting.get())
            if self._untold and self._waiting.qsize() < LINES // 2:
                self._tell()
            self._waiting.task_done()

    def _put(self, line: str) -> bool:
        rest = line.encode(errors="backslashreplace") + b"\n"
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    # Another process that shares the stream made it non-blocking.
                    select.select((), (self._descriptor,), ())
        except (OSError, ValueError):
            self._drop()  # the reader has left or the disk is full: the next line may have better luck
            return False
        return True

    def _drop(self) -> None:
        with self._lock:
            self.dropped += 1
            self._untold += 1

    def _tell(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, 0
        if self._notice is not None and not self._put(self._notice(untold)):
            with self._lock:
                self._untold += untold
