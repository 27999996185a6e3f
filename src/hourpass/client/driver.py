"""Runs a wait written once, for a thread or for asyncio.

What waits is a generator that yields what it waits for: a future, or milliseconds. It holds no lock while it does, and
is told by TimeoutError that its time is up.
"""

import time
from collections.abc import Generator
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")
Waiting = Generator[Future[None] | int, None, Result]


def drive(waiting: Waiting[Result], timeout: float) -> Result:
    """Run it in this thread, for at most `timeout` seconds. A wait known to be too long is not begun."""
    deadline = time.monotonic() + timeout
    try:
        awaited = next(waiting)
        while True:
            left = deadline - time.monotonic()
            try:
                if isinstance(awaited, Future):
                    awaited.result(max(left, 0))
                elif awaited < left * 1000:
                    time.sleep(awaited / 1000)
                else:
                    raise TimeoutError
            except TimeoutError as error:
                awaited = waiting.throw(error)
            else:
                awaited = next(waiting)
    except StopIteration as stop:
        result: Result = stop.value
        return result


async def drive_async(waiting: Waiting[Result], timeout: float) -> Result:  # noqa: ASYNC109 the same meaning as above
    """Run it as part of this task. A cancelled task leaves the shared future alone."""
    # Who runs no event loop need not wait for this import.
    import asyncio  # noqa: PLC0415

    deadline = time.monotonic() + timeout
    try:
        awaited = next(waiting)
        while True:
            left = deadline - time.monotonic()
            try:
                if isinstance(awaited, Future):
                    # The future runs already, so that cancelling its asyncio side cannot cancel it.
                    await asyncio.wait_for(asyncio.wrap_future(awaited), max(left, 0))
                elif awaited < left * 1000:
                    await asyncio.sleep(awaited / 1000)
                else:
                    raise TimeoutError
            except TimeoutError as error:
                awaited = waiting.throw(error)
            else:
                awaited = next(waiting)
    except StopIteration as stop:
        result: Result = stop.value
        return result
