"""What the use of an API key's secret changes: the first use of a next one, and the use of what has ended.

Both are rare. The hot path asks one question of the secret that proved the key, and no more.
"""

from hourpass.core import key_events
from hourpass.core.actor import Actor
from hourpass.core.api_key import ApiKey, KeyTrouble, Proven
from hourpass.core.caller import bucket
from hourpass.core.errors import InvalidCredentials, Unavailable
from hourpass.core.key_rotation import may_be_pending
from hourpass.core.policy import HOUR
from hourpass.server.keys.rotation import note_first_use
from hourpass.server.ledger.ledger import Ledger

TOLD_EVERY = HOUR
"""How often the audit trail tells that one caller uses a key or a secret after its end, or the key itself."""

TOLD_KEPT = 10_000
"""How many such keys and callers a node remembers."""

_UsedAfterEnd = key_events.KeyRotatedUsed | key_events.KeyRevokedUsed | key_events.KeyRawUsedAfterEnd


class SecretUse:
    """Notes uses on one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: dict[tuple[type[_UsedAfterEnd], str, str], int] = {}

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

    async def after_end(self, proven: Proven, trouble: KeyTrouble, address: str | None, now: int) -> None:
        """A genuine key is refused. If it was revoked, or another secret took the place of this one, that is told.

        Its caller is refused, whether or not this can be told. The wait tells only who has the key itself.
        """
        (key, secret), actor = proven, Actor("client", address)
        if trouble == "rotated":
            await self._tell(key_events.KeyRotatedUsed(key.key_id, secret.n, actor), now)
        elif trouble == "revoked":
            why = key.revoked_why or "revoked"
            await self._tell(key_events.KeyRevokedUsed(key.key_id, secret.n, why, actor), now)

    async def raw_after_end(self, key: ApiKey, address: str | None, now: int) -> None:
        """A key came itself after its `raw_until`. Its caller is refused, whether or not this can be told."""
        if key.raw_until is not None and now >= key.raw_until:
            await self._tell(key_events.KeyRawUsedAfterEnd(key.key_id, key.raw_until, Actor("client", address)), now)

    async def _tell(self, event: _UsedAfterEnd, now: int) -> None:
        # Each caller is told of: a forgotten client must not hide a thief. The trail folds what is too much of it.
        about = type(event), event.key_id, bucket(event.actor.address)
        if now - self._told.get(about, now - TOLD_EVERY) < TOLD_EVERY:
            return
        if len(self._told) >= TOLD_KEPT:
            self._told.clear()
        self._told[about] = now
        try:
            await self._ledger.run(lambda store: store.append_audit(now, [event]))
        except Unavailable:
            self._told.pop(about, None)
