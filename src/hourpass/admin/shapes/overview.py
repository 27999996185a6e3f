"""What the overview is asked and answers."""

from typing import Annotated

import msgspec

from hourpass.admin.shapes.asked import AdminAnswer, Asked, Instant
from hourpass.core.attention import AttentionKind, Place, Severity
from hourpass.core.stats import MAX_HOURS

Hours = Annotated[int, msgspec.Meta(ge=1, le=MAX_HOURS)]


class GetOverview(Asked, kw_only=True):
    """For how many hours until now."""

    hours: Hours = 24


class Happened(AdminAnswer, kw_only=True):
    """How often each thing happened on all nodes."""

    exchanges: int
    refreshes: int
    retries: int
    replays: int
    refusals: int
    raw_accepted: int
    raw_refused: int
    bearer_accepted: int
    verify_refused: int
    unavailable: int
    failures: int


class Point(Happened, kw_only=True):
    """What happened from an instant on, for as many minutes as a point has."""

    at: Instant


class KeysInNumbers(AdminAnswer, kw_only=True):
    """How many keys are in each state. Of those that can be used some day: how many have a `raw_until`."""

    active: int
    disabled: int
    expired: int
    revoked: int
    raw_until_set: int


class RawUse(AdminAnswer, kw_only=True):
    """How many keys were sent themselves in the last day and in the last week."""

    day: int
    week: int


class LiveGrants(AdminAnswer, kw_only=True):
    """How many grants can refresh, as it was at an instant. Many grants are counted every five minutes."""

    count: int
    counted_at: Instant


class AttentionItem(AdminAnswer, kw_only=True):
    """One thing that needs attention, in words. `filters` narrow the list at `place` to it, as members of its query."""

    kind: AttentionKind
    severity: Severity
    count: int
    sentence: str
    place: Place
    filters: dict[str, str | int]


class Overview(AdminAnswer, kw_only=True):
    """What happened on all nodes, what there is, and what needs attention, the gravest first.

    `series` has equal points, oldest first. The last one is not over yet. Counts are up to a minute late.
    """

    at: Instant
    hours: int
    point_minutes: int
    totals: Happened
    series: list[Point]
    keys: KeysInNumbers
    raw: RawUse
    live_grants: LiveGrants
    attention: list[AttentionItem]
