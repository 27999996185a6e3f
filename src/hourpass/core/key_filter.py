"""Which API keys somebody looks for. A key must fulfil all conditions. A condition that is None accepts every key."""

from typing import NamedTuple

from hourpass.core.api_key import ApiKey, KeyState, key_state
from hourpass.core.key_rotation import pending_secret
from hourpass.core.last_use import LastUses, latest


class KeyFilter(NamedTuple):
    """Conditions on a key's record and its last uses. Instants are epoch milliseconds.

    `raw_since` takes keys that were sent themselves at that instant or later, `unused_since` those that were not used
    in any way since then. A key that was never used is as old as its record. `next_secret_waits` takes keys that were
    rotated and whose holder has not used the next secret yet.
    """

    state: KeyState | None = None
    subject: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    expires_before: int | None = None
    raw_since: int | None = None
    unused_since: int | None = None
    external_id: str | None = None
    next_secret_waits: bool = False

    def takes(self, key: ApiKey, now: int, uses: LastUses) -> bool:
        """Whether a key fulfils every condition. One that has ended does not expire any more."""
        state = key_state(key, now)
        if self.expires_before is not None:
            soon = key.expires_at is not None and key.expires_at < self.expires_before
            if not soon or state in {"revoked", "expired"}:
                return False
        if self.raw_since is not None and ("raw" not in uses or uses["raw"].at < self.raw_since):
            return False
        if self.unused_since is not None:
            last = latest(uses)
            if (key.created_at if last is None else last[1].at) >= self.unused_since:
                return False
        if self.next_secret_waits and (pending_secret(key) is None or state in {"revoked", "expired"}):
            return False
        if self.external_id not in {None, key.external_id}:
            return False
        return self.state in {None, state} and self.subject in {None, key.subject} and set(self.tags) <= set(key.tags)
