"""Checking slow hashes: two at a time, one of each look-up part, in threads, and nobody waits for long.

A slow hash is the one thing here that a stranger can make expensive, by sending texts that begin as a key does. So it
is bounded, and it ends with the first use of the key: then a fast digest takes the place of the hash.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from hourpass.core.api_key import key_digest
from hourpass.core.errors import ConfigurationError, Unavailable
from hourpass.core.key_hash import slow_digest
from hourpass.server.keys.key_hashes import Candidates
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import Store
from hourpass.server.store.key_secrets import SlowHash

T = TypeVar("T")

AT_ONCE = 2
"""Hashes that are checked at once: each takes a core and, with Argon2, up to 256 MiB."""

PATIENCE = 1.0
"""Seconds that a caller waits for its turn before it is told to come back."""

WAITING = 100
"""Callers that may wait for their turn. Further ones are told at once to come back."""


class SlowProofs:
    """Checks the slow hashes of imported keys on one ledger. Belongs to one event loop."""

    def __init__(self, ledger: Ledger, secrets: Secrets) -> None:
        self._ledger = ledger
        self._secrets = secrets
        self._busy: set[str] = set()
        self._turns = 0
        self._waiting = 0
        self._changed = asyncio.Condition()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hourpass-slow-hash")
        self._checking: set[asyncio.Task[Any]] = set()

    async def in_turn(self, names: Collection[str], check: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a check returns that is made in a turn, as `turn` gives it.

        A caller who leaves does not end its turn: the thread would go on.
        """

        async def wait_and_check() -> T:
            async with self.turn(*names):
                return await check()

        task = asyncio.get_running_loop().create_task(wait_and_check())
        self._checking.add(task)
        task.add_done_callback(self._checked)
        return await asyncio.shield(task)

    def _checked(self, task: asyncio.Task[Any]) -> None:
        self._checking.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may have left

    @asynccontextmanager
    async def turn(self, *names: str) -> AsyncIterator[None]:
        """A turn that nobody else has at the same time with one of the names: how keys begin, or who asks.

        Raises:
            Unavailable: if there is none within a second.
        """
        if self._waiting >= WAITING:
            raise Unavailable("too many callers wait for slow hashes")
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: self._turns < AT_ONCE and self._busy.isdisjoint(names))
                self._turns += 1
                self._busy.update(names)
        except TimeoutError:
            raise Unavailable("slow hashes are being checked for too long") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns -= 1
            self._busy.difference_update(names)
            async with self._changed:
                self._changed.notify_all()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What work returns that checks slow hashes. Raises Unavailable if a library is missing."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except ConfigurationError as error:
            raise Unavailable(error.detail) from error

    async def prove(self, text: str, candidates: Candidates) -> bool:
        """Check the hashes of keys that begin like this text. The first match becomes a fast digest, durably.

        Raises:
            Unavailable: if a library is missing; StorageUnavailable: if nothing was kept.
        """
        match = await self.in_thread(lambda: candidates.match(text))
        if match is None:
            return False
        await self._ledger.run(lambda store: self._replace(store, text, match))
        return True

    def _replace(self, store: Store, text: str, slow: SlowHash) -> None:
        key = store.key(slow.key_id)
        peppers = self._secrets.peppers  # read once: the event loop may replace them meanwhile
        standing = {slow_digest(pepper.secret, slow.hash) for pepper in peppers}
        secret = next((each for each in key.secrets if each.digest in standing), None) if key else None
        if secret is None:
            return  # another node was first, or the secret was taken from the key
        digest, pepper = key_digest(peppers[0].secret, text), peppers[0].kid
        store.delete_key_secret(secret.digest)
        store.add_key_secret(slow.key_id, secret._replace(digest=digest, pepper=pepper))
        store.use_slow_hash(slow._replace(algorithm="used", hash=slow_digest(peppers[0].secret, slow.hash).hex()))
