"""What is remembered of API keys between transactions: all of it as it was at one version of the keys."""

from hourpass.core.api_key import ApiKey
from hourpass.core.key_hash import KeyHashes
from hourpass.server.store import Store

KEYS_KEPT = 100_000
"""API keys remembered between transactions. Reading one again costs a few microseconds."""


class Keys(dict[str | bytes, ApiKey]):
    """API keys, each under its id, and under the digest by which it was found.

    `hashes` are what imported keys are found by, None if they have not been read.
    """

    hashes: KeyHashes | None = None

    def read(self, store: Store, key_id: str) -> ApiKey | None:
        """A key, from the store if it is not remembered."""
        key = self.get(key_id)
        if key is None:
            key = store.key(key_id)
            if key is not None:
                self.remember(key_id, key)
        return key

    def remember(self, name: str | bytes, key: ApiKey) -> None:
        """Remember a key under its id or a digest."""
        if len(self) >= KEYS_KEPT:
            self.clear()
        self[name] = key
