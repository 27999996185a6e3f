"""What the administration of a node asks of other hosts: bounded, so that a slow host keeps few threads.

A test of a webhook waits for an endpoint, and a new URL waits for a resolver. They share no threads: endpoints that
hang hold up no new webhook.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hourpass.core.errors import Throttled
from hourpass.server.admin.context import Outside

MOST_TESTS = 4
"""Tests of webhooks at a time, each of another webhook."""

MOST_NAMES = 16
"""Names that are looked up at a time."""

COME_BACK = 5
"""Seconds after which a refused caller may try again: about as long as what is under way takes."""


class AdminNetwork:
    """Does what `Outside` asks, in threads. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tests = ThreadPoolExecutor(MOST_TESTS, "hourpass-admin-test")
        self._names = ThreadPoolExecutor(MOST_NAMES, "hourpass-admin-name")
        self._tested: set[str] = set()
        self._looked_up = 0

    async def do(self, needed: Outside) -> Any:
        """What its work returns or raises. Nothing waits for a thread.

        Raises:
            Throttled: if the webhook is being tried out, or as much is under way as may be.
        """
        loop = asyncio.get_running_loop()

        def begin(threads: ThreadPoolExecutor, end: Callable[[], None]) -> "asyncio.Future[Any]":
            # The caller may go away before the work ends: only the thread knows when its place is free.
            work = threads.submit(needed.work)
            work.add_done_callback(lambda _: loop.call_soon_threadsafe(end))
            return asyncio.wrap_future(work)

        if (webhook_id := needed.test_of) is None:
            if self._looked_up >= MOST_NAMES:
                raise Throttled(COME_BACK)
            self._looked_up += 1
            return await begin(self._names, self._end_name)
        if webhook_id in self._tested or len(self._tested) >= MOST_TESTS:
            raise Throttled(COME_BACK)
        self._tested.add(webhook_id)
        return await begin(self._tests, lambda: self._tested.discard(webhook_id))

    def _end_name(self) -> None:
        self._looked_up -= 1

    def close(self) -> None:
        """Begin nothing more. What is under way ends by its own time-out."""
        self._tests.shutdown(wait=False, cancel_futures=True)
        self._names.shutdown(wait=False, cancel_futures=True)
