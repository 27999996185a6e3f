"""Which API keys somebody looks for. A key must fulfil all conditions. A condition that is None accepts every key."""

from typing import Literal, NamedTuple

from hourpass.core.admin_access import Role, is_below
from hourpass.core.api_key import ApiKey, KeyState, key_state
from hourpass.core.key_rotation import pending_secret
from hourpass.core.last_use import LastUses, latest

AdminKeys = Role | Literal["any"]
"""Admin keys of one role, or of any."""


class KeyFilter(NamedTuple):
    """Conditions on a key's record and its last uses. Instants are epoch milliseconds.

    `raw_since` takes keys that were sent themselves at that instant or later, `unused_since` those that were not used
    in any way since then. A key that was never used is as old as its record. `next_secret_waits` takes keys that were
    rotated and whose holder has not used the next secret yet. `text` is part of the name, the subject, the key id or
    the external id, in upper or lower case. `subject_prefix` takes what a delegated admin key with it sees. `admin`
    takes admin keys alone.
    """

    state: KeyState | None = None
    subject: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    expires_before: int | None = None
    raw_since: int | None = None
    unused_since: int | None = None
    external_id: str | None = None
    next_secret_waits: bool = False
    text: str | None = None
    subject_prefix: str | None = None
    admin: AdminKeys | None = None

    def takes(self, key: ApiKey, now: int, uses: LastUses) -> bool:
        """Whether a key fulfils every condition. One that has ended does not expire any more."""
        state = key_state(key, now)
        has_ended = state in {"revoked", "expired"}
        if self.expires_before is not None:
            soon = key.expires_at is not None and key.expires_at < self.expires_before
            if not soon or has_ended:
                return False
        if self.next_secret_waits and (pending_secret(key) is None or has_ended):
            return False
        return self.state in {None, state} and self._takes_record(key) and self._takes_uses(key, uses)

    def _takes_record(self, key: ApiKey) -> bool:
        return (
            self.subject in {None, key.subject}
            and self.external_id in {None, key.external_id}
            and is_below(key, self.subject_prefix)
            and (self.admin in {None, key.admin} or (self.admin == "any" and key.admin is not None))
            and set(self.tags) <= set(key.tags)
            and (self.text is None or _is_in(self.text, key.name, key.subject, key.key_id, key.external_id or ""))
        )

    def _takes_uses(self, key: ApiKey, uses: LastUses) -> bool:
        if self.raw_since is not None and ("raw" not in uses or uses["raw"].at < self.raw_since):
            return False
        last = latest(uses)
        return self.unused_since is None or (key.created_at if last is None else last[1].at) < self.unused_since


def _is_in(text: str, *places: str) -> bool:
    folded = text.casefold()
    return any(folded in place.casefold() for place in places)
