"""A lane: one store, and the thread that may use it. What is handed to the thread returns what the loop is to do next.

Each wakes the other through a pipe, because to write to one lets go of the interpreter: whoever is woken can run at
once. A queue's lock would wake the thread while the loop still holds the interpreter, and back (decision 0005).
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable

from hourpass.server.store import Store


class Lane:
    """One store and its thread, for one event loop. `watch` is the ledger's: what cuts the store off in time."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self.store = store
        self.watch: asyncio.TimerHandle | None = None
        self._loop = loop
        self._handed: deque[Callable[[], Callable[[], None]]] = deque()
        self._returned: deque[Callable[[], None]] = deque()
        self._thread_wakes, self._wake_thread = os.pipe()
        self._loop_wakes, self._wake_loop = os.pipe()
        loop.add_reader(self._loop_wakes, self._on_return)
        self._thread = threading.Thread(target=self._main, name="hourpass-ledger", daemon=True)
        self._thread.start()

    def hand(self, task: Callable[[], Callable[[], None]]) -> None:
        """Let the thread do something; what that returns is called in the loop. One thing at a time."""
        self._handed.append(task)
        os.write(self._wake_thread, b"!")

    def _main(self) -> None:
        while os.read(self._thread_wakes, 1):
            self._returned.append(self._handed.popleft()())
            os.write(self._wake_loop, b"!")

    def _on_return(self) -> None:
        os.read(self._loop_wakes, 1)
        self._returned.popleft()()

    def begin(self, *, reads: bool) -> None:
        """Start a transaction, in the thread: one that waits for others, or one that only reads."""
        if reads:
            self.store.begin_reading()
        else:
            self.store.begin(wait=True)

    async def close(self) -> None:
        """End the thread, when it has nothing to do."""
        os.close(self._wake_thread)
        await asyncio.to_thread(self._thread.join)
        self._loop.remove_reader(self._loop_wakes)
        for end in (self._thread_wakes, self._loop_wakes, self._wake_loop):
            os.close(end)
