"""What is asked and answered about tokens."""

from typing import Literal

from msgspec import UNSET, UnsetType

from hourpass.admin.shapes.asked import AdminAnswer, Asked, Instant
from hourpass.core.api_key import ClaimValue
from hourpass.core.token_worth import Reason

TokenKind = Literal["access_token", "refresh_token", "api_key", "unknown"]


class TokenGiven(Asked, kw_only=True):
    """A token."""

    token: str

    def __repr__(self) -> str:
        """Without the token."""
        return "TokenGiven(…)"


class TokenFacts(AdminAnswer, kw_only=True):
    """What a token is, and whether it is accepted. `reason` says why not, in one stable word, and `words` in words.

    The other members depend on the kind. Those of a token that proves nothing are missing, but for the issuer that it
    claims.
    """

    kind: TokenKind
    valid: bool
    reason: Reason | None
    words: str
    subject: str | UnsetType | None = UNSET
    key_id: str | UnsetType = UNSET
    key_name: str | UnsetType | None = UNSET
    scope: str | UnsetType | None = UNSET
    environment: str | UnsetType | None = UNSET
    issuer: str | UnsetType = UNSET
    audience: str | list[str] | UnsetType = UNSET
    issued_at: Instant | UnsetType = UNSET
    expires_at: Instant | UnsetType = UNSET
    grant_id: str | UnsetType = UNSET
    claims: dict[str, ClaimValue] | UnsetType = UNSET
    jti: str | UnsetType = UNSET
    signed_with: str | UnsetType = UNSET
    generation: int | UnsetType = UNSET
    current_generation: int | UnsetType = UNSET
    idle_expires_at: Instant | UnsetType = UNSET
    unverified_issuer: str | UnsetType = UNSET


class RevokedToken(AdminAnswer, kw_only=True):
    """What a call revoked: the access token alone, or the whole grant of a refresh token."""

    revoked: Literal["access", "grant"]
    key_id: str
    grant_id: str


class RevokeIssuedBefore(Asked, kw_only=True):
    """Every access token of every key that was issued before an instant, or until now if none is given."""

    issued_before: Instant | UnsetType = UNSET


class RevokedIssuedBefore(AdminAnswer, kw_only=True):
    """The instant, a whole second, before which every access token is refused."""

    issued_before: Instant
