"""Which API keys somebody looks for. A key must fulfil all conditions. A condition that is None accepts every key."""

from typing import NamedTuple

from hourpass.core.api_key import ApiKey, KeyState, key_state


class KeyFilter(NamedTuple):
    """Conditions on a key's record. `expires_before` is an instant in epoch milliseconds."""

    state: KeyState | None = None
    subject: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    expires_before: int | None = None

    def takes(self, key: ApiKey, now: int) -> bool:
        """Whether a key fulfils every condition. One that has ended does not expire any more."""
        state = key_state(key, now)
        if self.expires_before is not None:
            soon = key.expires_at is not None and key.expires_at < self.expires_before
            if not soon or state in {"revoked", "expired"}:
                return False
        return self.state in {None, state} and self.subject in {None, key.subject} and set(self.tags) <= set(key.tags)
