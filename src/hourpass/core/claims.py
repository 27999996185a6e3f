"""Claims of an access token: unverified ones, verified ones, and the rules between them (RFC 9068 §4, RFC 7519 §4.1).

A `Claims` value exists only where a signature was verified and the claims were validated.
"""

from functools import lru_cache
from typing import NamedTuple

from hourpass.core.errors import InsufficientScope, InvalidToken
from hourpass.core.policy import LEEWAY, SECOND


class UnverifiedClaims(NamedTuple):
    """What a token says; its signature may be proven, its claims are not.

    `exp` and `iat` are epoch seconds, `scope` is space-separated, `sid` is the grant. This is the one list of claims:
    what travels, what introspection answers and what `hourpass tokens inspect` prints are made from it.
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


class Claims(UnverifiedClaims):
    """What a verified token says: the same claims, and a type of its own."""

    __slots__ = ()


class Expected(NamedTuple):
    """What a resource server expects of every token. Durations are in milliseconds.

    `audience` and `environment` are None for the issuer itself, which revokes and introspects all of its tokens.
    `early` is how long before its `iat` a token is accepted, `late` how long after its `exp`.
    """

    issuer: str
    audience: str | None
    max_lifetime: int
    environment: str | None = None
    early: int = LEEWAY
    late: int = LEEWAY


def validate_claims(unverified: UnverifiedClaims, now: int, expected: Expected) -> Claims:
    """Turn proven-signature claims into `Claims`; `now` is epoch milliseconds.

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
    """The first instant (epoch milliseconds) at which the token is not accepted any more.

    RFC 7519 §4.1.4: not "on or after" `exp`, with the leeway added.
    """
    return claims.exp * SECOND + late


def require_scope(granted: str, needed: str) -> None:
    """All of the needed scopes have to be granted; both are space-separated.

    Raises:
        InsufficientScope: naming everything that is needed (RFC 6750 §3.1).
    """
    if not _covers(granted, needed):
        raise InsufficientScope(needed)


@lru_cache(maxsize=4096)
def _covers(granted: str, needed: str) -> bool:
    # The same few pairs are asked about all day long.
    return set(needed.split()) <= set(granted.split())
