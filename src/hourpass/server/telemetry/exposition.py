"""Prometheus' text format: one value of the cells of all workers for each series of the table.

The beginning of each line is made once, so a scrape holds up nobody.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

from hourpass.server.telemetry.counts import CELL, Cells
from hourpass.server.telemetry.metrics import (
    METRICS,
    ROUTES,
    TIMES,
    Counter,
    Gauge,
    Histogram,
    RequestOutcome,
    Requests,
)

MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class _Line(NamedTuple):
    """What precedes the value, the cells that it is the sum of, and how the values of several workers become one."""

    text: str
    cells: tuple[int, ...]
    rule: str = "total"


_RULES: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "furthest": lambda values: max(values, key=abs),
}


def exposition(all_cells: Sequence[Cells], answering: Sequence[Cells], info: Mapping[str, str]) -> bytes:
    """All metrics. Counts are added up over all workers, also those that have ended.

    Gauges are of the workers that answer. `info` are the labels of `hourpass_build_info`.
    """
    totals = [math.fsum(column) for column in zip(*all_cells, strict=True)]
    lines = []
    for text, cells, rule in _LINES:
        if rule == "total":
            value = math.fsum([totals[cell] for cell in cells])
        elif cells:
            value = _RULES[rule]([worker[cells[0]] for worker in answering])
        else:
            lines.append(text)
            continue
        lines.append(text + _number(value))
    lines += [
        *_heading("hourpass_workers", "Processes that serve", "gauge"),
        f"hourpass_workers {len(all_cells)}",
        *_heading("hourpass_workers_answering", "Processes that serve and run", "gauge"),
        f"hourpass_workers_answering {len(answering)}",
        *_heading("hourpass_build_info", "Versions, as labels", "gauge"),
        f"hourpass_build_info{_labels(info)} 1",
        "",
    ]
    return "\n".join(lines).encode()


def _number(value: float) -> str:
    if value.is_integer():
        return str(int(value))
    return repr(value) if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")


def _heading(name: str, documentation: str, kind: str) -> list[str]:
    return [f"# HELP {name} {documentation}", f"# TYPE {name} {kind}"]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in labels.items() if name)
    return f"{{{pairs}}}" if pairs else ""


def _headings(name: str, documentation: str, kind: str) -> list[_Line]:
    return [_Line(text, (), "heading") for text in _heading(name, documentation, kind)]


def _lines() -> Iterator[_Line]:
    for metric in METRICS:
        match metric:
            case Counter(name, documentation, counts, label):
                yield from _headings(f"{name}_total", documentation, "counter")
                for count, value in counts.items():
                    yield _Line(f"{name}_total{_labels({label: value})} ", (CELL[count],))
            case Gauge(name, documentation, rule, counts, label):
                yield from _headings(name, documentation, "gauge")
                for count, value in counts.items():
                    yield _Line(f"{name}{_labels({label: value})} ", (CELL[count],), rule)
            case Histogram(name, documentation, bounds):
                yield from _headings(name, documentation, "histogram")
                first = CELL[f"{name} 0"]
                buckets = [(first + bucket,) for bucket in range(len(bounds) + 1)]
                yield from _histogram(name, {}, bounds, buckets, first + len(bounds) + 1)
            case Requests():
                yield from _requests(metric)


def _requests(metric: Requests) -> Iterator[_Line]:
    outcomes = get_args(RequestOutcome)
    yield from _headings(f"{metric.name}_total", metric.documentation, "counter")
    for route in ROUTES:
        for outcome in outcomes:
            first = CELL[f"{route} {outcome} 0"]
            text = f"{metric.name}_total{_labels({'route': route, 'outcome': outcome})} "
            yield _Line(text, tuple(range(first, first + len(TIMES) + 1)))
    yield from _headings(metric.durations, metric.durations_documentation, "histogram")
    for route in ROUTES:
        buckets = [
            tuple(CELL[f"{route} {outcome} {bucket}"] for outcome in outcomes) for bucket in range(len(TIMES) + 1)
        ]
        yield from _histogram(metric.durations, {"route": route}, TIMES, buckets, CELL[f"{route} sum"])


def _histogram(
    name: str, labels: Mapping[str, str], bounds: Sequence[float], buckets: Sequence[tuple[int, ...]], total: int
) -> Iterator[_Line]:
    below: tuple[int, ...] = ()
    for bound, cells in zip([*map(float, bounds), "+Inf"], buckets, strict=True):
        below += cells
        yield _Line(f"{name}_bucket{_labels({**labels, 'le': str(bound)})} ", below)
    yield _Line(f"{name}_sum{_labels(labels)} ", (total,))
    yield _Line(f"{name}_count{_labels(labels)} ", below)


_LINES = list(_lines())
