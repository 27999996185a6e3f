"""The scheduled strategy: a thread or a task that refreshes before anyone has to wait.

Its schedule is the credential's own soft instant. It asks the source and nothing else, so a lost refresher costs
punctuality and never a token.
"""

import asyncio
import os
import threading
from contextlib import suppress
from typing import Self
from weakref import WeakSet

from hourpass.client.source import TokenSource
from hourpass.core.errors import HourpassError
from hourpass.core.policy import SECOND

SLICE = 30 * SECOND
"""Waits do not count the time a machine is suspended, the source's clock does: so late it may be after waking up."""

LEAST = 100
"""Milliseconds between two tries at least, whatever the source says."""


class Refresher:
    """Keeps a source fresh in the background, from `start` to `stop` or within a `with`.

    Trouble is the source's to count and the next caller's to hear; here it only moves the next try. In a forked child
    it goes on with a thread of the child's own.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; where it runs already, nothing changes."""
        if self._thread is None:
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopped,), name="hourpass-refresher", daemon=True
            )
            self._thread.start()
            _running.add(self)

    def stop(self, within: float | None = None) -> None:
        """End, after the refresh that is under way, if one is. `within` is in seconds."""
        _running.discard(self)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped.set()
            thread.join(within)

    async def run(self) -> None:
        """The same as a task of asyncio: it runs until it is cancelled, and needs no `start`."""
        while True:
            tried_at = self._source.now()
            with suppress(HourpassError):
                await self._source.refresh_async(retry=False)
            while (pause := self._pause(tried_at)) > 0:
                await asyncio.sleep(min(pause, SLICE) / SECOND)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            tried_at = self._source.now()
            with suppress(HourpassError):
                self._source.refresh(retry=False)
            while (pause := self._pause(tried_at)) > 0 and not stopped.wait(min(pause, SLICE) / SECOND):
                pass

    def _pause(self, tried_at: int) -> int:
        """Milliseconds until the next try."""
        current = self._source.current
        soft = 0 if current is None else current.soft
        return max(soft, self._source.retry_at, tried_at + LEAST) - self._source.now()

    def _continue_in_child(self) -> None:
        self._thread = None
        self.start()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


_running: "WeakSet[Refresher]" = WeakSet()


def _continue_all() -> None:
    for refresher in list(_running):
        refresher._continue_in_child()  # noqa: SLF001 of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_continue_all)
