"""Waiting for the next line of the audit trail: one look at its newest number is for all that wait in a process."""

import asyncio

MAX_WAITERS = 1_000
"""How many may wait at the same time. Further ones are answered at once, and must pace themselves."""


class News:
    """The newest number of the audit trail as this process saw it last. Belongs to one event loop."""

    def __init__(self) -> None:
        self.last = 0
        self.waiting = 0
        self._closed = False
        self._changed = asyncio.Event()

    def seen(self, last: int) -> None:
        """Take in the newest number, and wake those who wait for it. It never goes back."""
        if last > self.last:
            self.last = last
            self._wake()

    @staticmethod
    def next_after(after: int, read: int, known: int) -> int:
        """After which number to wait, if a look after `after` got as far as `read`, and `known` was the newest before.

        If the look found none of the lines that are known, they are gone, as after a failover that lost the newest:
        only news can change that. What comes during the look is news.
        """
        return read if read > after else max(read, known)

    async def wait(self, after: int, seconds: float) -> bool:
        """Wait until the trail is beyond a number, for so many seconds at most. Returns whether it is."""
        if after < self.last or seconds <= 0 or self._closed or self.waiting >= MAX_WAITERS:
            return self.last > after
        # A request is carried out without a task, so the waiting has one.
        news = asyncio.get_running_loop().create_task(self._beyond(after))
        self.waiting += 1
        try:
            await asyncio.wait([news], timeout=seconds)
        finally:
            news.cancel()
            self.waiting -= 1
        return self.last > after

    async def _beyond(self, after: int) -> None:
        while after >= self.last and not self._closed:
            await self._changed.wait()

    def close(self) -> None:
        """Let nobody wait any more. For draining."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
