"""The bench's figures as rows: taking turns, medians and spread, the printed table, and the files of results."""

import datetime as dt
import json
import os
import platform
import statistics
import sys
from pathlib import Path

from bench.plot import plot

RESULTS = Path(__file__).parent / "results"


class Row:
    """One line of the table: a figure, its budgets, and whether the first one holds.

    Without budgets it only informs. `value` is None if nothing could be measured, and then the note says why.
    """

    def __init__(self, name, value, first=None, aim=None, note="", *, at_most=False):
        self.name, self.value, self.first, self.aim, self.note, self.at_most = name, value, first, aim, note, at_most

    def holds(self, budget):
        return self.value <= budget if self.at_most else self.value >= budget

    @property
    def fails(self):
        return self.value is not None and self.first is not None and not self.holds(self.first)


def median(rounds, name):
    return statistics.median(figures[name] for figures in rounds)


def least(rounds, name):
    """CPU time of the best round. Other work on a shared machine can only add to it."""
    return min(figures[name] for figures in rounds)


def fastest(rounds):
    """The rate of the best round, for the same reason."""
    return max(figures["per_second"] for figures in rounds)


def spread(values):
    return f"{min(values):.2f}–{max(values):.2f}"


def interleaved(rounds, contenders):
    """Run each contender once per round. Returns name -> its figures, round by round."""
    figures = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            figures[name].append(run())
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    return figures


def show(rows):
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  measured   first     aim"]
    for row in rows:
        value = f"{'–':>8}" if row.value is None else f"{row.value:8.2f}"
        budgets, mark = " " * 18, "   "
        if row.first is not None:
            sign = "≤" if row.at_most else "≥"
            budgets = f"{sign}{row.first:6.2f}  {sign}{row.aim:6.2f}  "
            if row.value is not None:
                mark = "aim" if row.holds(row.aim) else "NO " if row.fails else "ok "
        lines.append(f"{row.name:{width}}  {value}  {budgets}{mark}  {row.note}".rstrip())
    return "\n".join(lines)


def machine():
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "cpu": cpu_name(),
        "system": platform.system(),
    }


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def keep(rows, prefix="", **more):
    """Write today's results as JSON and as a plot. Returns the names of the files."""
    RESULTS.mkdir(exist_ok=True)
    date = dt.datetime.now(dt.UTC).date().isoformat()
    path = RESULTS / f"{prefix}{date}.json"
    result = {"date": date, "machine": machine(), "rows": [vars(row) for row in rows], **more}
    path.write_text(json.dumps(result, indent=1) + "\n")
    plot([row for row in rows if row.value is not None and row.first is not None], path.with_suffix(".svg"))
    return f"bench/results/{path.name} and .svg"
