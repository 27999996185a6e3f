"""What the server counts. One table has every count with the metric it is exported as. Nothing else can be counted."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

from hourpass.core.errors import RefusalReason
from hourpass.core.grant import Burst, Decision, Retry, Rotate
from hourpass.server.telemetry import refusals

GRANTED: dict[type[Decision], str] = {Rotate: "refresh_rotate", Burst: "refresh_burst", Retry: "refresh_retry"}
"""The name of the count for each decision that grants a refresh."""

REFUSED: dict[RefusalReason, str] = {reason: f"refresh_{reason}" for reason in get_args(RefusalReason)}
"""The name of the count for each reason to refuse a refresh."""


class Metric(NamedTuple):
    """A Prometheus counter: its name without the prefix, and its description.

    `counts` maps the names of its counts to the values of the label `label`. There are few values, and they are never a
    key or a subject.
    """

    name: str
    documentation: str
    counts: Mapping[str, str]
    label: str = ""


METRICS = (
    Metric("exchanges", "API keys exchanged for a first pair", {"exchange": ""}),
    Metric(
        "refreshes",
        "Refresh tokens presented, by outcome",
        {name: name.removeprefix("refresh_") for name in (*GRANTED.values(), *REFUSED.values())},
        "outcome",
    ),
    Metric(
        "retries_from_elsewhere",
        "Retries from another address than the rotation that they repeat",
        {"retry_from_elsewhere": ""},
    ),
    Metric(
        "credentials_accepted",
        "Credentials accepted at protected endpoints: access tokens, and API keys themselves",
        {"accepted_bearer": "bearer", "accepted_api_key": "api_key"},
        "kind",
    ),
    Metric("credentials_refused", "API keys that were not genuine", {"credentials_refused": ""}),
    Metric("grants_closed", "Grants closed because their key was at its cap", {"grants_closed": ""}),
    Metric("grants_pruned", "Grants deleted after their end", {"grants_pruned": ""}),
    Metric(
        "connections_refused",
        "Connections refused before a request was understood",
        {f"connections_refused_{kind}": kind for kind in get_args(refusals.ConnectionFault)},
        "kind",
    ),
    Metric("unavailable", "Requests answered with 503", {"unavailable": ""}),
    Metric("stalls", "Times that this process stood still for seconds", {"stalls": ""}),
    Metric("failures", "Requests answered with 500: each is a bug", {"failure": ""}),
    Metric("log_lines_dropped", "Lines of the log that its reader or disk did not take", {"log_lines_dropped": ""}),
)


class Counts(dict[str, int]):
    """All counts, with 0 from the start: a rate would miss the first event if a series began with it.

    A name that is not in the table raises KeyError.
    """

    def __init__(self) -> None:
        super().__init__((name, 0) for metric in METRICS for name in metric.counts)
