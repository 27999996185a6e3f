"""Runs a wait that is written once, in a thread or in asyncio.

The wait is a generator. It yields what it waits for: a future, milliseconds, or a call that may block, which asyncio
runs in a thread. It must hold no lock while it waits. A TimeoutError in it means that its time is up, and an error of a
call is raised in it too.
"""

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from hourpass.core.errors import ConfigurationError, HourpassError, Unavailable

Result = TypeVar("Result")
Waiting = Generator[Future[None] | int | Callable[[], None], None, Result]


def drive(waiting: Waiting[Result], timeout: float) -> Result:
    """Run it in this thread, for at most `timeout` seconds. A wait that is too long is not started."""
    deadline = time.monotonic() + timeout
    try:
        awaited = next(waiting)
        while True:
            left = deadline - time.monotonic()
            try:
                if isinstance(awaited, Future):
                    awaited.result(max(left, 0))
                elif callable(awaited):
                    awaited()
                elif awaited < left * 1000:
                    time.sleep(awaited / 1000)
                else:
                    raise TimeoutError
            except (TimeoutError, HourpassError) as error:
                awaited = waiting.throw(error)
            else:
                awaited = next(waiting)
    except StopIteration as stop:
        result: Result = stop.value
        return result


async def _in_a_thread(call: Callable[[], None]) -> None:
    """Run a call that may block, in a thread.

    Raises:
        Unavailable: the system cannot start a thread, or the loop's executor has ended.
    """
    import asyncio  # noqa: PLC0415 as below

    try:
        pending = asyncio.get_running_loop().run_in_executor(None, copy_context().run, call)
    except RuntimeError as error:
        raise Unavailable("no thread can be started") from error
    await pending


async def drive_async(waiting: Waiting[Result], timeout: float) -> Result:  # noqa: ASYNC109 the same meaning as above
    """Run it as part of this task. A cancelled task leaves the shared future alone."""
    # A program without an event loop does not wait for this import.
    import asyncio  # noqa: PLC0415

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        waiting.close()
        raise ConfigurationError("await needs asyncio's loop: under trio, make the plain call in a thread") from None
    deadline = time.monotonic() + timeout
    try:
        awaited = next(waiting)
        while True:
            left = deadline - time.monotonic()
            try:
                if isinstance(awaited, Future):
                    # The future runs already, so cancelling its asyncio side cannot cancel it. `wait_for` is not used:
                    # Python 3.11's forgets a cancellation that comes together with the result.
                    async with asyncio.timeout(max(left, 0)):
                        await asyncio.wrap_future(awaited)
                elif callable(awaited):
                    # Wait for its end, as a thread would: a call that has begun cannot be taken back.
                    await _in_a_thread(awaited)
                elif awaited < left * 1000:
                    await asyncio.sleep(awaited / 1000)
                else:
                    raise TimeoutError
            except (TimeoutError, HourpassError) as error:
                awaited = waiting.throw(error)
            else:
                awaited = next(waiting)
    except StopIteration as stop:
        result: Result = stop.value
        return result
