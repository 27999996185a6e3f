"""What a resource asks of a credential, and the one judgement of it. Tokens and raw API keys are judged alike.

The order is audience, environment, address, scope: a credential for another resource never learns what it lacks here.
The judgement is made on every request and never remembered.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hourpass.core.address import in_networks
from hourpass.core.api_key import ApiKey
from hourpass.core.claims import Claims, require_scope
from hourpass.core.errors import InvalidToken


class Requirement(NamedTuple):
    """An audience, one of the two environments, and scopes (space-separated, all of them needed)."""

    audience: str
    environment: str = "production"
    scope: str = ""


Address = Callable[[], str | None]
"""Returns the caller's address, None if it is not known. Called only if there is an allow-list to judge it by."""


def judge_proven(
    needed: Requirement,
    audience: str | Sequence[str],
    environment: str,
    scope: str,
    allowed_ips: tuple[str, ...],
    address: Address,
) -> None:
    """Judge a proven credential by what it says, and by its key's networks. No networks means: from anywhere.

    Raises:
        InvalidToken: `audience`, `environment` or `address_not_allowed`.
        InsufficientScope: if a needed scope is missing (RFC 6750 §3.1).
    """
    if needed.audience != audience and (isinstance(audience, str) or needed.audience not in audience):
        raise InvalidToken("audience")
    if environment != needed.environment:
        raise InvalidToken("environment")
    if allowed_ips and not in_networks(address() or "", allowed_ips):
        raise InvalidToken("address_not_allowed")
    if needed.scope:
        require_scope(scope, needed.scope)


def judge_key(key: ApiKey, audience: str, needed: Requirement, address: Address) -> None:
    """Judge a proven API key. `audience` is used if the key names none. Raises what `judge_proven` raises."""
    judge_proven(needed, key.audiences(audience), key.environment, key.scope, key.allowed_ips, address)


def require_raw_use(key: ApiKey, now: int) -> None:
    """Refuse a proven key that came itself, from the instant on at which its clients need tokens.

    Raises:
        InvalidToken: `exchange_required`.
    """
    if key.raw_until is not None and now >= key.raw_until:
        raise InvalidToken("exchange_required")


def judge_token(claims: Claims, needed: Requirement, key: ApiKey | None, address: Address) -> None:
    """Judge a verified access token, and the networks of its key if it is given. Raises what `judge_proven` raises."""
    judge_proven(needed, claims.aud, claims.env, claims.scope, () if key is None else key.allowed_ips, address)


def nowhere() -> str | None:
    """The address of a caller that asks about a credential and does not use it."""
    return None
