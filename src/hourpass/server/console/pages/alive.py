"""What an emergency measure hits: how many tokens are alive, and how many clients must refresh."""

from hourpass.admin import shapes
from hourpass.admin.operations import OVERVIEW
from hourpass.core.policy import HOUR
from hourpass.server.console.page import Visit
from hourpass.server.console.rendering import show_count

LONGEST = 24
"""Hours. No access token lives longer."""


def alive(visit: Visit) -> str:
    """How many access tokens came out that may be alive, and how many grants are, in words."""
    lifetime = visit.settings.policy().access_token_lifetime
    facts = visit.call(OVERVIEW, shapes.GetOverview(hours=min(-(-lifetime // HOUR), LONGEST)))
    number, live = facts.totals.exchanges + facts.totals.refreshes, facts.live_grants.count
    issued = show_count(number, "access token") if number else "no access token"
    grants = show_count(live, "live grant") if live else "no live grant"
    there = "are" if live > 1 else "is"
    last = "hour" if facts.hours == 1 else f"{facts.hours} hours"
    return f"In the last {last}, apart from this minute, {issued} came out. There {there} {grants}."
