"""The scheduled strategy: a thread or a task that refreshes before anyone must wait.

It refreshes at the credential's soft instant. It only asks the source, so without it a refresh comes later, but no
token is lost.
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
"""The longest wait, in milliseconds. It stands still while the machine is suspended, but the source's clock goes on. So
after waking up the refresher is late by at most this."""

LEAST = 100
"""The least milliseconds between two tries, even if the source allows another at once. After trouble it is a second."""


class Refresher:
    """Keeps a source fresh in the background, from `start` to `stop` or within a `with`.

    An error is in `error` and in the log, and only delays the next try. In a forked child it goes on with a thread of
    the child's own.
    """

    def __init__(self, source: TokenSource) -> None:
        self.error: HourpassError | None = None
        """The error of the last try. None if it succeeded."""
        self._source = source
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. If it runs already, nothing changes."""
        if self._thread is None:
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopped,), name="hourpass-refresher", daemon=True
            )
            self._thread.start()
            _running.add(self)

    def stop(self, within: float | None = None) -> None:
        """Stop the thread, after the refresh that is under way, if there is one. `within` is in seconds."""
        _running.discard(self)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped.set()
            thread.join(within)

    async def run(self) -> None:
        """The same as an asyncio task. It runs until it is cancelled, and needs no `start`."""
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
        """Note how a try ends. No error gets out, because it would end the schedule in silence."""
        before, self.error = self.error, None
        try:
            yield
        except HourpassError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 a cache may be the caller's code, and its error text may hold secrets
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
        """Refuse. A copy would have the thread's lock without the thread."""
        raise TypeError("a Refresher cannot be copied: start another one")

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
