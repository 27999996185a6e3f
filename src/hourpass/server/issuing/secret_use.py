"""What the use of an API key's secret changes: the first use of a next one, and the use of one that has ended.

Both are rare. The hot path asks one question of the secret that proved the key, and no more.
"""

from hourpass.core import audit
from hourpass.core.api_key import KeySecret, Proven
from hourpass.core.errors import InvalidCredentials, Unavailable
from hourpass.core.key_rotation import may_be_pending
from hourpass.core.policy import HOUR
from hourpass.server.keys.rotation import note_first_use
from hourpass.server.ledger.ledger import Ledger

TOLD_EVERY = HOUR
"""A key whose ended secrets are still in use has a line in the audit trail so often, of each node."""

TOLD_KEPT = 10_000
"""Such keys remembered."""


class SecretUse:
    """Notes uses on one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: dict[str, int] = {}

    async def answers(self, proven: Proven, now: int) -> None:
        """The secret proved its key, and the answer will be a good one: if that is its first use, it is durable now.

        Raises:
            InvalidCredentials: if another secret took its place meanwhile; StorageUnavailable: if nothing was kept.
        """
        if may_be_pending(proven.secret):
            await self._note(proven, now)

    async def _note(self, proven: Proven, now: int) -> None:
        key_id, secret = proven.key.key_id, proven.secret
        if not await self._ledger.run(lambda store: note_first_use(store, key_id, secret, now)):
            raise InvalidCredentials("another secret took its place")

    async def ended(self, key_id: str, secret: KeySecret, address: str | None, now: int) -> None:
        """A secret was presented after it had ended. Its caller is refused, whether or not this can be told."""
        if now - self._told.get(key_id, now - TOLD_EVERY) < TOLD_EVERY:
            return
        if len(self._told) >= TOLD_KEPT:
            self._told.clear()
        self._told[key_id] = now
        event = audit.KeyRotatedUsed(key_id, secret.n, audit.Actor("client", address))
        try:
            await self._ledger.run(lambda store: store.append_audit(now, [event]))
        except Unavailable:
            self._told.pop(key_id, None)
