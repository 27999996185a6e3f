"""Digests of API keys that move to the pepper in use: each one at the first use of its key after the pepper changed.

Only then is the key's text here. Nobody waits for the move: it is noted in memory and written soon after. If it gets
lost in a crash, the next use notes it again.
"""

from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.server.keys.server_secrets import DigestMove, move_digests
from hourpass.server.ledger.ledger import Ledger

TOGETHER = 20
"""Moves in one transaction: each is a handful of statements."""

WAITING = 10_000
"""Moves that wait to be written. Further ones are noted at the next use of their keys."""


class DigestMoves:
    """What one node has noted and not written yet. Belongs to one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._noted: dict[bytes, DigestMove] = {}

    def note(self, key: ApiKey, secret: KeySecret, digest: bytes, pepper: str) -> None:
        """A secret was proven, and `digest` is what is stored of it from now on, under the pepper of this kid."""
        if secret.digest != digest and len(self._noted) < WAITING:
            self._noted[secret.digest] = DigestMove(key.key_id, secret.digest, digest, pepper)

    async def keep(self) -> None:
        """Write what was noted since the last time. What could not be written stays noted.

        Raises:
            StorageUnavailable.
        """
        while self._noted:
            moves = list(self._noted.values())[:TOGETHER]
            await self._ledger.run(lambda store: move_digests(store, moves))  # noqa: B023
            for move in moves:
                self._noted.pop(move.old, None)
                # No version is counted up for a move, because that would make every node forget all keys.
                self._ledger.forget_key(move.key_id, move.old)
