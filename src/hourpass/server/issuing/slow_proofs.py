"""Checking slow hashes: two at a time, one of each look-up part, in threads, and nobody waits for long.

A slow hash is the one thing here that a stranger can make expensive, by sending texts that begin as a key does. So it
is bounded, and it ends with the first use of the key: then a fast digest takes the place of the hash.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import cast

from hourpass.core.api_key import key_digest
from hourpass.core.errors import ConfigurationError, Unavailable
from hourpass.core.key_hash import slow_digest
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.keys.slow_hashes import SlowAlgorithm, first_match
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import Store
from hourpass.server.store.key_secrets import SlowHash

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
        self._waiting = 0
        self._changed = asyncio.Condition()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hourpass-slow-hash")

    @asynccontextmanager
    async def turn(self, lookup: str) -> AsyncIterator[None]:
        """A turn to check what begins like this.

        Raises:
            Unavailable: if there is none within a second.
        """
        if self._waiting >= WAITING:
            raise Unavailable("too many callers wait for slow hashes")
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: lookup not in self._busy and len(self._busy) < AT_ONCE)
                self._busy.add(lookup)
        except TimeoutError:
            raise Unavailable("slow hashes are being checked for too long") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._busy.discard(lookup)
            async with self._changed:
                self._changed.notify_all()

    async def prove(self, text: str, hashes: Sequence[SlowHash]) -> bool:
        """Check the hashes of keys that begin like this text. The first match becomes a fast digest, durably.

        Raises:
            Unavailable: if a library is missing; StorageUnavailable: if nothing was kept.
        """
        plain = [(cast("SlowAlgorithm", each.algorithm), each.hash) for each in hashes]
        try:
            at = await asyncio.get_running_loop().run_in_executor(self._threads, first_match, plain, text)
        except ConfigurationError as error:
            raise Unavailable(error.detail) from error
        if at is None:
            return False
        await self._ledger.run(lambda store: self._replace(store, text, hashes[at]))
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
