"""What a caller may ask of a token, and what it gets: never more scope or a longer life than its key allows."""

from typing import NamedTuple

from hourpass.core.api_key import ApiKey, narrow_scope
from hourpass.core.errors import InvalidRequest, InvalidScope, InvalidTarget
from hourpass.core.policy import SECOND, Policy


class TokenRequest(NamedTuple):
    """A narrower scope, a shorter lifetime in seconds, and an audience, which must be one of the key's.

    None asks for nothing: the caller gets what its key allows.
    """

    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def require_lifetime(self) -> None:
        """Refuse a lifetime below one second.

        Raises:
            InvalidRequest: if it is zero or negative.
        """
        if self.expires_in is not None and self.expires_in < 1:
            raise InvalidRequest("a lifetime must be at least one second", name="expiresIn")

    def audience_of(self, owned: tuple[str, ...], granted: str | None = None) -> str:
        """The audience of the token: the one that is asked for, else the grant's, else the key's first one.

        `owned` are those of the key, `granted` is the grant's if its exchange asked for one.

        Raises:
            InvalidTarget: if it is not the grant's, or not one of the key's any more (RFC 8707 §2).
        """
        audience = self.audience if self.audience is not None else granted or owned[0]
        if audience not in owned or granted not in {None, audience}:
            raise InvalidTarget("the key or the grant is not for this audience")
        return audience

    def narrowed(self, owned: str) -> str:
        """The scope to grant, out of the scope that is owned.

        Raises:
            InvalidScope: if more is asked for than is owned (RFC 6749 §3.3).
        """
        scope = narrow_scope(owned, self.scope)
        if scope is None:
            raise InvalidScope("a requested scope is unknown or not owned")
        return scope

    def lifetime(self, key: ApiKey, policy: Policy, now: int) -> int:
        """How many seconds an access token minted now lives. The request can shorten it, and so can
        the key, and its end.
        """
        lifetime = policy.access_token_lifetime // SECOND
        if key.access_token_lifetime is not None:
            lifetime = min(lifetime, key.access_token_lifetime // SECOND)
        if self.expires_in is not None:
            lifetime = min(lifetime, self.expires_in)
        if key.expires_at is not None:
            lifetime = max(1, min(lifetime, (key.expires_at - now) // SECOND))
        return lifetime


PLAIN_REQUEST = TokenRequest()
"""Asks for nothing: the whole scope and the full lifetime."""
