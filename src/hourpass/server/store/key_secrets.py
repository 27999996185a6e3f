"""The secrets of API keys in a database: by what they are found, and what is known of each."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from hourpass.core.api_key import KeySecret
from hourpass.server.store.control import ControlStore
from hourpass.server.store.tables import SLOW_HASHES, TableStore


class SlowHash(NamedTuple):
    """A slow or salted hash of an imported key. `lookup` is how the key's text begins. The repr shows neither.

    After the key was used, `algorithm` is `used`, and `hash` is what stood for the slow one among the digests, in hex.
    """

    lookup: str
    key_id: str
    algorithm: str
    hash: str
    created_at: int

    def __repr__(self) -> str:
        """Without the hash."""
        return f"SlowHash({self.key_id!r})"


class KeySecretStore(ControlStore, TableStore):
    """What is asked about the secrets of API keys."""

    def key_of_digest(self, digest: bytes) -> str | None:
        """The id of the key that has this secret, None if no key has it."""
        rows = self._rows("key_of_digest", digest)
        return rows[0][0] if rows else None

    @abstractmethod
    def keys_of_digests(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Of many secrets, the ids of the keys that have them."""

    def add_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Give a key a secret, its newest."""
        self._change_keys("add_key_secret", key_id, *secret)

    def save_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Note when a secret of a key was first used and when it ends."""
        self._change_keys("save_key_secret", key_id, *secret)

    def show_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Let programs that know one secret for each key know this one."""
        self._change_keys("show_digest", secret.digest, key_id)

    def delete_key_secret(self, digest: bytes) -> None:
        """Take a secret from its key."""
        self._change_keys("delete_key_secret", digest)

    def move_digest(self, key_id: str, old: bytes, secret: KeySecret) -> None:
        """Put a secret in the place of the one with the old digest. No other process is told."""
        self._run("delete_key_secret", old)
        self._run("add_key_secret", key_id, *secret)
        self._run("move_shown_digest", secret.digest, key_id, old)
        self._run("move_leak", secret.digest, old)

    def note_leak(self, digest: bytes, key_id: str, at: int) -> bool:
        """Note that a secret was reported as leaked. False if that is known."""
        return self._run("note_leak", digest, key_id, at) > 0

    def key_hashes(self) -> list[str]:
        """The names of the hashes that the digests of imported keys are made of."""
        return [name for (name,) in self._rows("key_hashes")]

    def add_key_hash(self, name: str, at: int) -> None:
        """Note that keys are imported by this hash. Nothing changes if it is known."""
        self._change_keys("add_key_hash", name, at)

    def slow_hashes(self, lookup: str) -> list[SlowHash]:
        """The slow hashes of the keys that begin like this."""
        return [SlowHash._make(row) for row in self._rows("slow_hashes", lookup)]

    def add_slow_hashes(self, hashes: Sequence[SlowHash]) -> None:
        """Keep slow hashes of new keys."""
        if hashes:
            self.add_rows(SLOW_HASHES, hashes)

    def use_slow_hash(self, used: SlowHash) -> None:
        """Forget a slow hash, because its key was used: `used` takes its place."""
        self._run("use_slow_hash", used.algorithm, used.hash, used.lookup, used.key_id)
