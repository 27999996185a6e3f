"""Claims of an access token: unverified ones, verified ones, and the rules between them (RFC 9068 §4, RFC 7519 §4.1).

A `Claims` value exists only after a signature was verified and the claims were validated.
"""

from functools import lru_cache
from typing import NamedTuple

from hourpass.core.api_key import ClaimValue
from hourpass.core.errors import InsufficientScope, InvalidToken
from hourpass.core.policy import LEEWAY, SECOND


class UnverifiedClaims(NamedTuple):
    """What a token says. Its signature may be proven, but its claims are not validated yet.

    `exp` and `iat` are epoch seconds, `scope` is space-separated, `sid` is the id of the grant. This is the one list of
    claims. The token itself, the answers of introspection and the output of `hourpass tokens inspect` are made from it.
    """

    iss: str
    sub: str
    aud: str | list[str]
    exp: int
    iat: int
    jti: str
    client_id: str
    scope: str
    sid: str
    env: str
    custom: tuple[tuple[str, ClaimValue], ...] = ()
    """What the key says besides, name by name. Each travels as a claim of its own."""


STANDARD = UnverifiedClaims._fields[:-1]
"""The claims that every token has."""


class Claims(UnverifiedClaims):
    """What a verified token says: the same claims, in a type of its own."""

    __slots__ = ()

    def get(self, name: str, default: ClaimValue = None) -> ClaimValue:
        """What the key says besides under this name, such as `tenant`."""
        return dict(self.custom).get(name, default)


class Expected(NamedTuple):
    """What a resource server expects of every token. Durations are in milliseconds.

    `audience` and `environment` are None for the issuer itself, because it revokes and introspects all of its tokens.
    `early` is how long before its `iat` a token is accepted, `late` is how long after its `exp`.
    """

    issuer: str
    audience: str | None
    max_lifetime: int
    environment: str | None = None
    early: int = LEEWAY
    late: int = LEEWAY


def validate_claims(unverified: UnverifiedClaims, now: int, expected: Expected) -> Claims:
    """Turn the claims of a token whose signature is proven into `Claims`. `now` is epoch milliseconds.

    Raises:
        InvalidToken: with the fixed word for the first rule that fails.
    """
    if unverified.iss != expected.issuer:
        raise InvalidToken("issuer")
    audiences = unverified.aud if isinstance(unverified.aud, list) else [unverified.aud]
    if expected.audience is not None and expected.audience not in audiences:
        raise InvalidToken("audience")
    if expected.environment is not None and unverified.env != expected.environment:
        raise InvalidToken("environment")
    if not (unverified.sub and unverified.jti and unverified.client_id and unverified.sid):
        raise InvalidToken("malformed", "a required claim is empty")
    lifetime = (unverified.exp - unverified.iat) * SECOND
    if not 0 < lifetime <= expected.max_lifetime:
        raise InvalidToken("malformed", "exp - iat is out of range")
    if unverified.iat * SECOND > now + expected.early:
        raise InvalidToken("not_yet_valid", f"issued {unverified.iat - now // SECOND} s in the future")
    if now >= accepted_until(unverified, expected.late):
        raise InvalidToken("expired")
    return Claims(*unverified)


def accepted_until(claims: UnverifiedClaims, late: int = LEEWAY) -> int:
    """The first instant (epoch milliseconds) at which the token is no longer accepted.

    RFC 7519 §4.1.4 refuses a token "on or after" its `exp`. `late` is the leeway added to that, in milliseconds.
    """
    return claims.exp * SECOND + late


def require_scope(granted: str, needed: str) -> None:
    """Require that all needed scopes are granted. Both lists are space-separated.

    Raises:
        InsufficientScope: if one is missing. It names all needed scopes (RFC 6750 §3.1).
    """
    if not _covers(granted, needed):
        raise InsufficientScope(needed)


@lru_cache(maxsize=4096)
def _covers(granted: str, needed: str) -> bool:
    # Cached, because the same few pairs are asked about all day long.
    return set(needed.split()) <= set(granted.split())
