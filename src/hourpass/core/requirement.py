"""What a resource asks of a credential, and the one judgement of it: a token and a raw API key are judged alike.

Audience first, then environment, then scope: what is not for this resource at all is never told what it lacks. Judged
on every request, never remembered.
"""

from typing import NamedTuple

from hourpass.core.api_key import ApiKey
from hourpass.core.claims import Claims, require_scope
from hourpass.core.errors import InvalidToken


class Requirement(NamedTuple):
    """An audience, one of the two environments, and scopes (space-separated, all of them are needed)."""

    audience: str
    environment: str = "production"
    scope: str = ""


def judge_token(claims: Claims, needed: Requirement) -> None:
    """Judge a verified access token.

    Raises:
        InvalidToken: `audience` or `environment`; InsufficientScope (RFC 6750 §3.1).
    """
    _judge(needed, claims.aud, claims.env, claims.scope)


def judge_key(key: ApiKey, audience: str, needed: Requirement) -> None:
    """Judge a proven API key; `audience` is that of keys which name none. Raises as `judge_token` does."""
    _judge(needed, key.audience or audience, key.environment, key.scope)


def _judge(needed: Requirement, audience: str | list[str], environment: str, scope: str) -> None:
    if needed.audience != audience and (isinstance(audience, str) or needed.audience not in audience):
        raise InvalidToken("audience")
    if environment != needed.environment:
        raise InvalidToken("environment")
    if needed.scope:
        require_scope(scope, needed.scope)
