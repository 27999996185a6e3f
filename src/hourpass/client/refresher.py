"""The scheduled strategy: a thread or a task that refreshes before anyone has to wait.

Its schedule is the credential's own soft instant. It asks the source and nothing else, so a lost refresher costs
punctuality and never a token.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, Self
from weakref import WeakSet

from hourpass.client.source import TokenSource
from hourpass.core.errors import HourpassError, Unavailable
from hourpass.core.policy import SECOND

_log = logging.getLogger(__name__)

SLICE = 30 * SECOND
"""Waits do not count the time a machine is suspended, the source's clock does: so late it may be after waking up."""

LEAST = 100
"""Milliseconds between two tries at least, whatever the source says; after trouble it is a second."""


class Refresher:
    """Keeps a source fresh in the background, from `start` to `stop` or within a `with`.

    Whatever goes wrong is in `error` and in the log, and only moves the next try. In a forked child it goes on with a
    thread of the child's own.
    """

    def __init__(self, source: TokenSource) -> None:
        self.error: HourpassError | None = None
        """What ended the last try; None while all is well."""
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
            with self._noted():
                await self._source.refresh_async(retry=False)
            while (pause := self._pause(tried_at)) > 0:
                await asyncio.sleep(min(pause, SLICE) / SECOND)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            tried_at = self._source.now()
            with self._noted():
                self._source.refresh(retry=False)
            while (pause := self._pause(tried_at)) > 0 and not stopped.wait(min(pause, SLICE) / SECOND):
                pass

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Take note of how a try ends. No error gets out: a schedule that ends in silence helps nobody."""
        before, self.error = self.error, None
        try:
            yield
        except HourpassError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 a cache is anybody's code, and its text may hold what it was given
            self.error = Unavailable(f"the refresh broke off ({type(error).__name__})")
        if self.error is not None and str(self.error) != str(before or ""):
            _log.warning("the token is not refreshed: %s", self.error)

    def _pause(self, tried_at: int) -> int:
        """Milliseconds until the next try."""
        current = self._source.current
        soft = 0 if current is None else current.soft
        least = LEAST if self.error is None else SECOND
        return max(soft, self._source.retry_at, tried_at + least) - self._source.now()

    def _continue_in_child(self) -> None:
        self._thread = None
        self.start()

    def __reduce__(self) -> NoReturn:
        """Refuse: a copy would have the thread's lock and not the thread."""
        raise TypeError("a Refresher is not copied: start one where it is needed")

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
