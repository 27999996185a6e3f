"""A lane: one store, and the thread that may use it.

The loop and the thread wake each other through pipes, because to write to one lets go of the interpreter: the other
side can run at once. A queue's lock would wake it while this side still holds the interpreter (decision 0005).
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from hourpass.server.store import Store

T = TypeVar("T")


class Lane:
    """One store and its thread, for one event loop. With `patience`, work is cut off after so many seconds."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, patience: float | None = None) -> None:
        self.store = store
        self.patience = patience
        self._loop = loop
        self._watch: asyncio.TimerHandle | None = None
        self._asked: deque[tuple[Callable[[Store], Any], asyncio.Future[Any]]] = deque()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._thread_wakes, self._wake_thread = os.pipe()
        self._loop_wakes, self._wake_loop = os.pipe()
        loop.add_reader(self._loop_wakes, self._on_done)
        self._thread = threading.Thread(target=self._main, name="hourpass-ledger", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[Store], T]) -> "asyncio.Future[T]":
        """Let the thread do something with the store, one thing at a time. Resolves to what that returns or raises."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._keep_watch()
        self._asked.append((work, future))
        os.write(self._wake_thread, b"!")
        return future

    def _main(self) -> None:
        while os.read(self._thread_wakes, 1):
            work, future = self._asked.popleft()
            try:
                self._done.append((future, work(self.store), None))
            except BaseException as error:  # noqa: BLE001 - it is the answer
                self._done.append((future, None, error))
            os.write(self._wake_loop, b"!")

    def _on_done(self) -> None:
        os.read(self._loop_wakes, 1)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        future, result, error = self._done.popleft()
        if future.done():
            return  # the loop is about to end
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def _keep_watch(self) -> None:
        if self.patience is not None:
            self._watch = self._loop.call_later(self.patience, self._cut)

    def _cut(self) -> None:
        self.store.interrupt()
        # A pooler takes a new connection although the database behind it is away: that one may hang, too.
        self._keep_watch()

    async def close(self) -> None:
        """End the thread, when it has nothing to do."""
        os.close(self._wake_thread)
        await asyncio.to_thread(self._thread.join)
        self._loop.remove_reader(self._loop_wakes)
        for end in (self._thread_wakes, self._loop_wakes, self._wake_loop):
            os.close(end)
