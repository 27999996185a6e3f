"""Which grants make room: those that are over, and those that a key has beyond its cap."""

from collections.abc import Sequence
from typing import NamedTuple

from hourpass.core.policy import DAY, Policy

REVOKED_KEPT = DAY
"""A revoked grant's row is kept for a day, so that its client and its operator see `revoked` and not `unknown`."""


def is_prunable(idle_expires_at: int, expires_at: int, revoked_at: int | None, now: int) -> bool:
    """Whether the row is useless by now: it expired, or it was revoked so long ago that nobody asks about it."""
    if now >= idle_expires_at or now >= expires_at:
        return True
    return revoked_at is not None and now - revoked_at >= REVOKED_KEPT


def excess_grants(live: int, policy: Policy) -> int:
    """How many grants of a key to close so that it is within its cap again. `live` is how many it has.

    Beyond the cap, an extra hundredth of it is closed in one go, because finding the ones to close means reading all.
    """
    if live <= policy.grants_per_key:
        return 0
    return live - policy.grants_per_key + policy.grants_per_key // 100


class GrantAge(NamedTuple):
    """What decides which grant of a key is closed first."""

    grant_id: bytes
    generation: int
    idle_expires_at: int
    created_at: int


def closing_order(grants: Sequence[GrantAge], count: int) -> list[bytes]:
    """The ids of the `count` grants to close first.

    First come those that were never refreshed, oldest first, then those whose last refresh is longest ago.
    """

    def rank(grant: GrantAge) -> tuple[bool, int, int]:
        # Only a rotation moves the idle expiry, so it orders the refreshed ones by their last rotation.
        return (grant.generation > 0, grant.idle_expires_at if grant.generation else 0, grant.created_at)

    return [grant.grant_id for grant in sorted(grants, key=rank)[:count]]
