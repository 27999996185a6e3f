"""What the server counts: one table says what each count is exported as, and nothing else can be counted."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

from hourpass.core.errors import RefusalReason
from hourpass.core.grant import Burst, Decision, Retry, Rotate
from hourpass.server.telemetry import refusals

GRANTED: dict[type[Decision], str] = {Rotate: "refresh_rotate", Burst: "refresh_burst", Retry: "refresh_retry"}
"""By the decision that a refresh was granted on."""

REFUSED: dict[RefusalReason, str] = {reason: f"refresh_{reason}" for reason in get_args(RefusalReason)}
"""By the reason that a refresh was refused for."""


class Metric(NamedTuple):
    """A counter of Prometheus: its name, without the prefix, and what is said of it.

    `counts` names the counts that it is made of, with the value of the label `label` for each. Values are bounded:
    never a key or a subject.
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
    """Every count from the start, as a rate misses the first event of a series that begins with it.

    A name that the table does not have is a KeyError.
    """

    def __init__(self) -> None:
        super().__init__((name, 0) for metric in METRICS for name in metric.counts)
