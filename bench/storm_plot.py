"""Draws the storm: how many clients lack a token around the outage, for each kind. It has only shapes and text."""

from itertools import pairwise
from xml.sax.saxutils import escape

from hourpass.core.policy import MINUTE, SECOND

LEFT, RIGHT = 76, 776
TOP, PANEL, GAP = 132, 76, 66
BEFORE, AFTER = 10 * MINUTE, 80 * MINUTE
STEP = 10 * SECOND
OURS = "hourpass's client"

STYLE = """
    svg { color-scheme: light dark; }
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2933; }
    .head { font-weight: 600; font-size: 14px; }
    .note { font-size: 12px; fill: #5f6b7a; }
    .figure { font-weight: 600; font-size: 16px; }
    .end { text-anchor: end; }
    .on { text-anchor: middle; }
    .panel { fill: #ffffff; stroke: #d5dbe3; }
    .box { fill: #f4f6f9; stroke: #b8c1cd; }
    .outage { fill: #fbdcdc; }
    .line { stroke: #d5dbe3; }
    .lost { fill: #b42332; }
    .kept { fill: #1d6f42; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaf0; }
      .note { fill: #9aa7b8; }
      .panel { fill: #12161d; stroke: #2d3540; }
      .box { fill: #1c222c; stroke: #465262; }
      .outage { fill: #3a161a; }
      .line { stroke: #2d3540; }
      .lost { fill: #ff8a94; }
      .kept { fill: #6fd39b; }
    }
  """

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" width="800" height="{height}" role="img"
  aria-labelledby="title desc">
  <title id="title">Clients without a token around {outage}, by kind of client</title>
  <desc id="desc">A simulation of {sizes}. {told}.</desc>
  <style>{style}</style>
  <rect class="panel" x="0.5" y="0.5" width="799" height="{ground}" rx="8"/>
  <text class="head" x="24" y="34">How many clients have no token, around {outage}</text>
  <text class="note" x="24" y="56">Simulated: {sizes}. Each client calls its API every 10 s.</text>
  <text class="note" x="24" y="74">Client-hours and failed calls are counted after a failed refresh, until two hours
    after the outage.</text>"""


def plot(reports, *, clients, capacity, outage):
    """The SVG of some reports, one panel below the other, on one scale from none to all clients."""
    start, end = outage.start - BEFORE, outage.stop + AFTER

    def across(instant):
        return LEFT + (RIGHT - LEFT) * (instant - start) / (end - start)

    height = TOP + len(reports) * (PANEL + GAP) - 34
    told = "; ".join(f"{one.title}: {hours(one)}, {calls(one)}, {rest(one)}" for one in reports)
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
        heights = [round(bottom - PANEL * one.lacking[at // STEP] / clients, 1) for at in range(start, end, STEP)]
        points = "".join(
            f"H{across(start + step * STEP):.1f}V{now}"
            for step, (before, now) in enumerate(pairwise([bottom, *heights]))
            if now != before
        )
        tone = "kept" if one.title == OURS else "lost"
        lines += [
            f'  <text class="head" x="{LEFT}" y="{top - 26}">{escape(one.title)}</text>',
            f'  <text class="note" x="{LEFT}" y="{top - 9}">{rest(one)}</text>',
            f'  <text class="figure end {tone}" x="{RIGHT}" y="{top - 26}">{hours(one)}</text>',
            f'  <text class="end {tone}" x="{RIGHT}" y="{top - 9}">{calls(one)}</text>',
            f'  <rect class="box" x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{PANEL}"/>',
            (
                f'  <rect class="outage" x="{across(outage.start):.1f}" y="{top}"'
                f' width="{across(outage.stop) - across(outage.start):.1f}" height="{PANEL}"/>'
            ),
            f'  <path class="line" d="M{LEFT} {bottom - PANEL / 2}H{RIGHT}"/>',
            f'  <path class="{tone}" d="M{LEFT} {bottom}{points}H{RIGHT}V{bottom}z"/>',
        ]
        for share in (0, 50, 100):
            y = bottom - PANEL * share / 100
            lines.append(f'  <text class="note end" x="{LEFT - 8}" y="{y + 4:.1f}">{share} %</text>')
        for minute in range(0, AFTER // MINUTE, 20):
            x, words = across(outage.stop + minute * MINUTE), f"{minute} min"
            lines.append(
                f'  <text class="note on" x="{x:.1f}" y="{bottom + 16}">{words if minute else "outage ends"}</text>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"


def hours(one):
    hours = one.without_token / 3600
    return f"{hours:,.{0 if hours > 100 else 1}f} client-hours without a token"


def calls(one):
    return f"{one.failed_calls:,} failed calls"


def rest(one):
    fresh = "not all fresh within 2 h" if one.fresh_after is None else f"all fresh after {one.fresh_after:,.0f} s"
    return f"{fresh}, peak of {one.peak:,} requests a second"
