"""What a caller may ask for beyond the plain answer, and what it gets: only narrower, only shorter."""

from typing import NamedTuple

from hourpass.core.api_key import ApiKey, narrow_scope
from hourpass.core.errors import InvalidRequest, InvalidScope, InvalidTarget
from hourpass.core.policy import SECOND, Policy


class Wish(NamedTuple):
    """A narrower scope, a shorter lifetime (seconds), or the audience that the key has anyway."""

    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def require_lifetime(self) -> None:
        """InvalidRequest where the lifetime is none."""
        if self.expires_in is not None and self.expires_in < 1:
            raise InvalidRequest("a lifetime is at least a second", name="expiresIn")

    def require_audience(self, owned: str) -> None:
        """InvalidTarget if another audience was asked for than the key's."""
        if self.audience is not None and self.audience != owned:
            raise InvalidTarget("the key is not for this audience")

    def narrowed(self, owned: str) -> str:
        """The scope that is granted out of what is owned. InvalidScope where more was asked for."""
        scope = narrow_scope(owned, self.scope)
        if scope is None:
            raise InvalidScope("a requested scope is unknown or not owned")
        return scope

    def lifetime(self, key: ApiKey, policy: Policy, now: int) -> int:
        """Seconds that an access token made now lives: a wish shortens it, and so does the end of its key."""
        lifetime = policy.access_token_lifetime // SECOND
        if self.expires_in is not None:
            lifetime = min(lifetime, self.expires_in)
        if key.expires_at is not None:
            lifetime = max(1, min(lifetime, (key.expires_at - now) // SECOND))
        return lifetime


NO_WISH = Wish()
