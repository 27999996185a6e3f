"""What the operator sees: logs and metrics. Nothing here is on the success path of a request.

Secrets are redacted by type: whatever holds one hides it in its repr. As a second fence, anything that looks like a key
or a token is struck out of every line before it is written.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TextIO, get_args

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hourpass.server import refusals

_SECRET = re.compile(
    r"hp_(?:production|sandbox)_[0-9A-Za-z]{12}_[0-9A-Za-z]+|eyJ[0-9A-Za-z_-]{10,}(?:\.[0-9A-Za-z_-]*)*"
)

_REFRESH_OUTCOMES = (
    "rotate", "burst", "retry", "malformed", "expired", "replayed", "revoked", "key_disabled", "ahead", "unknown"
)  # fmt: skip


def configure_logging(log_format: str, stream: TextIO = sys.stderr, *, colours: bool = True) -> None:
    """Set up every logger of the process: one line for each event, JSON unless on a terminal."""
    console = log_format == "console" or (log_format == "auto" and stream.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=colours and stream.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("uvicorn.access", "uvicorn.error", "_granian", "granian.access"):
        # Uvicorn warns of each connection that is not HTTP; `refusals` counts those.
        logging.getLogger(noisy).setLevel(logging.ERROR)
        logging.getLogger(noisy).handlers[:] = []
        logging.getLogger(noisy).propagate = True


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: _SECRET.sub("[redacted]", value if isinstance(value, str) else repr(value))
        if not isinstance(value, int | float | bool | None)
        else value
        for name, value in event.items()
    }


class _Counts(Collector):
    """The use cases' plain counters as metrics, made when somebody asks.

    Labels are bounded: never a key or a subject.
    """

    def __init__(self, counts: Mapping[str, int], gauges: Mapping[str, int]) -> None:
        self._counts = counts
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        yield _total("hourpass_exchanges", "API keys exchanged for a first pair", counts["exchange"])
        refreshes = CounterMetricFamily(
            "hourpass_refreshes", "Refresh tokens presented, by outcome", labels=["outcome"]
        )
        for outcome in _REFRESH_OUTCOMES:
            refreshes.add_metric([outcome], counts[f"refresh_{outcome}"])
        yield refreshes
        yield _total("hourpass_credentials_refused", "API keys that were not genuine", counts["credentials_refused"])
        yield _total(
            "hourpass_grants_closed", "Grants closed because their key was at its cap", counts["grants_closed"]
        )
        yield _total("hourpass_grants_pruned", "Grants deleted after their end", counts["grants_pruned"])
        refused = CounterMetricFamily(
            "hourpass_connections_refused", "Connections refused before a request was understood", labels=["kind"]
        )
        for kind in get_args(refusals.Kind):
            refused.add_metric([kind], counts[f"connections_refused_{kind}"])
        yield refused
        yield _total("hourpass_unavailable", "Requests answered with 503", counts["unavailable"])
        yield _total("hourpass_failures", "Requests answered with 500: each is a bug", counts["failure"])
        for name, value in self._gauges.items():
            yield GaugeMetricFamily(f"hourpass_{name}", name.replace("_", " "), value=value)


def _total(name: str, documentation: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(name, documentation, value=value)


def render_metrics(counts: Mapping[str, int], gauges: Mapping[str, int]) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Counts(counts, gauges))
    return generate_latest(registry)
