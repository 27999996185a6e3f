"""Looks up API keys that are not remembered, many of them in one transaction.

An attacker who invents keys can ask for as many as he can send. They take one transaction at a time, and no place in
the ledger's queue. A good key waits for the look-up that is under way and is part of the next.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Generic, TypeVar

from hourpass.core.errors import StorageUnavailable
from hourpass.server.store import Store

TOGETHER = 64
"""Keys in one transaction. A local database needs less than a millisecond for them."""

WAITING = 10_000
"""How many keys may wait at the same time. Callers with further ones are told to come back."""

T = TypeVar("T")


class KeyLookUp(Generic[T]):
    """`read` runs a function in a transaction that reads. `find` is the function that finds keys there.

    Keys are asked for by their ids, or by their texts if those have no id in them.
    """

    def __init__(
        self,
        read: Callable[[Callable[[Store], list[T | None]]], Awaitable[list[T | None]]],
        find: Callable[[Store, list[str]], list[T | None]],
    ) -> None:
        self._read = read
        self._find = find
        self._asked: dict[str, asyncio.Future[T | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def key(self, asked: str) -> T | None:
        """One API key, None if there is none.

        Raises:
            StorageUnavailable: if the database cannot be read, or too many keys wait.
        """
        future = self._asked.get(asked)
        if future is None:
            if len(self._asked) >= WAITING:
                raise StorageUnavailable("too many keys to look up")
            loop = asyncio.get_running_loop()
            future = self._asked[asked] = loop.create_future()
            if self._running is None:
                self._running = loop.create_task(self._run())
        return await asyncio.shield(future)  # others may wait for the same

    async def _run(self) -> None:
        while self._asked:
            batch = list(islice(self._asked, TOGETHER))
            futures = [self._asked.pop(asked) for asked in batch]
            try:
                found = await self._read(lambda store: self._find(store, batch))  # noqa: B023
            except Exception as error:  # noqa: BLE001 - every caller gets it as the answer
                for future in futures:
                    future.set_exception(error)
                    future.exception()  # all callers may have left, and asyncio warns if nobody reads it
            else:
                for future, key in zip(futures, found, strict=True):
                    future.set_result(key)
        self._running = None
