"""Overview: what happened, what there is, and what needs attention."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from hourpass.admin import shapes
from hourpass.admin.operations import OVERVIEW
from hourpass.server.console.page import PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pictures import bars, curve
from hourpass.server.console.pictures.charts import Tone

HOURS = {"6": "6 hours", "24": "24 hours", "168": "7 days"}

PLACES = {
    "keys": "/keys",
    "audit": "/audit",
    "webhooks": "/webhooks",
    "signing_keys": "/signing-keys",
}
"""Where the console shows what the overview names. For other places, the sentence itself says where to look."""

TONES = {"critical": "bad", "warning": "warn", "info": "info"}


class Chart(NamedTuple):
    """A chart: which number it shows, under which title, and what the number counts."""

    name: str
    title: str
    about: str
    tone: Tone = "accent"


CHARTS = (
    Chart("exchanges", "Exchanges", "A key became a first pair of tokens."),
    Chart("refreshes", "Refreshes", "A refresh token became the next pair."),
    Chart("retries", "Retries", "A refresh came again, and got the same answer."),
    Chart("refusals", "Refusals", "A key or refresh token was refused.", "warn"),
    Chart("replays", "Replays", "An old refresh token came back. It may be stolen.", "bad"),
    Chart("raw_accepted", "Uses of raw keys", "A key came itself, without a token. This should go down.", "warn"),
)


def _show(visit: Visit) -> PageAnswer:
    hours = visit.query.get("hours", "24")
    hours = hours if hours in HOURS else "24"
    facts = visit.call(OVERVIEW, shapes.GetOverview(hours=int(hours)))
    return Shown(
        "overview.html",
        {
            "facts": facts,
            "attention": [_attention(visit, each) for each in facts.attention],
            "charts": [(chart, getattr(facts.totals, chart.name), _picture(chart, facts)) for chart in CHARTS],
            "hours": hours,
            "refresh": 60 if hours == "168" else 15,
            "choices": HOURS,
            "columns": ["From", *([chart.title] for chart in CHARTS)],
            "hourly": _table(facts),
        },
    )


def _picture(chart: Chart, facts: shapes.Overview) -> str:
    values = [getattr(point, chart.name) for point in facts.series]
    unit = f"in {facts.point_minutes} minutes"
    if chart.name == "raw_accepted":
        return curve(chart.title, values, unit=unit)
    return bars(chart.title, values, tone=chart.tone, unit=unit)


def _table(facts: shapes.Overview) -> list[tuple[str, list[int]]]:
    """The same numbers in at most 24 rows."""
    together = -(-len(facts.series) // 24)
    rows = []
    for start in range(0, len(facts.series), together):
        points = facts.series[start : start + together]
        rows.append((points[0].at, [sum(getattr(point, chart.name) for point in points) for chart in CHARTS]))
    return rows


def _attention(visit: Visit, item: shapes.AttentionItem) -> dict[str, Any]:
    path = PLACES.get(item.place)
    if path is not None and not visit.leads_to(path):
        path = None
    filters = dict(item.filters)
    if item.place == "keys":
        filters = {"use": "raw" if "raw_since" in filters else "expiring"}
    where = None if path is None else path + (f"?{urlencode(filters)}" if filters else "")
    return {"tone": TONES[item.severity], "sentence": item.sentence, "path": where}


SECTION = Section("Overview", "overview", (View("/", OVERVIEW, _show),))
