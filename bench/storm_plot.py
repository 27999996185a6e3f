"""Draws the storm: requests per second of each kind of client, around the outage. It has only shapes and text."""

from math import log10
from xml.sax.saxutils import escape

from hourpass.core.policy import MINUTE, SECOND

LEFT, RIGHT = 76, 776
TOP, PANEL, GAP = 116, 92, 52
BEFORE, AFTER = 10 * MINUTE, 80 * MINUTE
DECADES = 5
STEP = 10 * SECOND

STYLE = """
    svg { color-scheme: light dark; }
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2933; }
    .head { font-weight: 600; font-size: 14px; }
    .note { font-size: 12px; fill: #5f6b7a; }
    .end { text-anchor: end; }
    .on { text-anchor: middle; }
    .panel { fill: #ffffff; stroke: #d5dbe3; }
    .box { fill: #f4f6f9; stroke: #b8c1cd; }
    .outage { fill: #fbdcdc; }
    .line { stroke: #d5dbe3; }
    .rate { fill: #2457d6; }
    .capacity { stroke: #b42332; stroke-width: 1.6; stroke-dasharray: 6 4; fill: none; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaf0; }
      .note { fill: #9aa7b8; }
      .panel { fill: #12161d; stroke: #2d3540; }
      .box { fill: #1c222c; stroke: #465262; }
      .outage { fill: #3a161a; }
      .line { stroke: #2d3540; }
      .rate { fill: #86a9ff; }
      .capacity { stroke: #ff8a94; }
    }
  """

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" width="800" height="{height}" role="img"
  aria-labelledby="title desc">
  <title id="title">Requests for a refresh around {outage}, by kind of client</title>
  <desc id="desc">A simulation of {sizes}. {told}.</desc>
  <style>{style}</style>
  <rect class="panel" x="0.5" y="0.5" width="799" height="{ground}" rx="8"/>
  <text class="head" x="24" y="34">After {outage}: {sizes}</text>
  <text class="note" x="24" y="54">Simulated: requests a second, the highest of each 10 s, on a logarithmic scale. The
    red line is what the server can do.</text>
  <text class="note" x="24" y="72">Client-hours without a token are counted after a failed refresh, until two hours
    after the outage.</text>"""


def plot(reports, *, clients, capacity, outage):
    """The SVG of some reports, one panel below the other, on one logarithmic scale."""
    start, end = outage.start - BEFORE, outage.stop + AFTER

    def across(instant):
        return LEFT + (RIGHT - LEFT) * (instant - start) / (end - start)

    def share(rate):
        # From 0.5 on, so that one request in a second can be seen.
        return max(0.0, min(1.0, log10(max(rate, 0.5) * 2) / (DECADES + log10(2))))

    height = TOP + len(reports) * (PANEL + GAP) - 16
    told = "; ".join(f"{one.title}: peak {one.peak:,} a second, {said(one)}" for one in reports)
    span = (outage.stop - outage.start) // MINUTE
    lines = [
        HEAD.format(
            height=height,
            ground=height - 1,
            style=STYLE,
            told=escape(told),
            outage=f"an outage of {span} minutes",
            sizes=f"{clients:,} clients, a server for {capacity:,} refreshes a second",
        )
    ]
    for number, one in enumerate(reports):
        top = TOP + number * (PANEL + GAP)
        bottom = top + PANEL
        limit = bottom - PANEL * share(capacity)
        points = "".join(
            f"V{bottom - PANEL * share(one.rates[at // STEP]):.0f}H{across(at + STEP):.1f}"
            for at in range(start, end, STEP)
        )
        lines += [
            f'  <text class="head" x="{LEFT}" y="{top - 8}">{escape(one.title)}</text>',
            f'  <text class="note end" x="{RIGHT}" y="{top - 8}">peak {one.peak:,}/s, {said(one)}</text>',
            f'  <rect class="box" x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{PANEL}"/>',
            (
                f'  <rect class="outage" x="{across(outage.start):.1f}" y="{top}"'
                f' width="{across(outage.stop) - across(outage.start):.1f}" height="{PANEL}"/>'
            ),
        ]
        for decade in range(0, DECADES + 1, 2):
            y = bottom - PANEL * share(10**decade)
            lines += [
                f'  <path class="line" d="M{LEFT} {y:.1f}H{RIGHT}"/>',
                f'  <text class="note end" x="{LEFT - 8}" y="{y + 4:.1f}">{10**decade:,}</text>',
            ]
        lines += [
            f'  <path class="rate" d="M{across(start):.1f} {bottom}{points}V{bottom}z"/>',
            f'  <path class="capacity" d="M{LEFT} {limit:.1f}H{RIGHT}"/>',
        ]
        for minute in range(0, AFTER // MINUTE, 20):
            x, words = across(outage.stop + minute * MINUTE), f"{minute} min"
            lines.append(
                f'  <text class="note on" x="{x:.1f}" y="{bottom + 16}">{words if minute else "outage ends"}</text>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"


def said(one):
    fresh = "not all fresh within 2 h" if one.fresh_after is None else f"all fresh after {one.fresh_after:,.0f} s"
    return f"{fresh}, {one.without_token / 3600:,.1f} client-hours without a token"
