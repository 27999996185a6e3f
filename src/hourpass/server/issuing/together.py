"""Does work once for all callers that ask at the same time, so strangers cannot queue it up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """Runs `work` once at a time. A caller that asks while it runs gets the result of the next run.

    So no caller gets a result that is older than its question. Belongs to one event loop.
    """

    def __init__(self, work: Callable[[int], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self, now: int) -> T:
        """The result of work that begins after this call. `now` is epoch milliseconds. Raises what the work raises."""
        task = self._next
        if task is None:
            task = asyncio.get_running_loop().create_task(self._carry_out(self._running, now))
            if self._running is None:
                self._running = task
            else:
                self._next = task
            task.add_done_callback(self._done)
        return await asyncio.shield(task)  # others may wait for the same

    async def _carry_out(self, before: asyncio.Task[T] | None, now: int) -> T:
        if before is not None:
            await asyncio.wait([before])
        return await self._work(now)

    def _done(self, task: asyncio.Task[T]) -> None:
        self._running, self._next = self._next, None
        if not task.cancelled():
            task.exception()  # all callers may have left, and asyncio warns if nobody reads it
