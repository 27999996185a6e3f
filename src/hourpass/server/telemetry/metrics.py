"""The table of all metrics. Nothing else can be counted.

A metric has a name, a description, and the names of its numbers with the values of its label. There are few values, and
they are never a key or a subject.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from hourpass.core.api_key import KeyRevokedWhy, KeyTrouble
from hourpass.core.errors import RefusalReason, TokenProblem
from hourpass.core.grant import Burst, Decision, Retry, Rotate
from hourpass.core.signing_key import SigningKeyState
from hourpass.server.telemetry import refusals

RequestOutcome = Literal["ok", "refused", "throttled", "unavailable", "failed"]

GRANTED: dict[type[Decision], str] = {Rotate: "refresh_rotate", Burst: "refresh_burst", Retry: "refresh_retry"}
"""The name of the count for each decision that grants a refresh."""

REFUSED: dict[RefusalReason, str] = {reason: f"refresh_{reason}" for reason in get_args(RefusalReason)}
"""The name of the count for each reason to refuse a refresh."""

ROUTES = (
    "/auth/api-key",
    "/auth/refresh",
    "/auth/rotate",
    "/auth/verify",
    "/auth/revocations",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/introspect",
    "/leaks/github",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/admin/v1",
    "other",
)
"""The values of the label `route`. A path that is not a route is `other`."""

CHECKS = ("accepting", "clock", "database", "migrations", "signing_key", "revocations")
"""The checks of readiness, as the answer of `/health/ready` names them."""

TIMES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets of durations, in seconds."""


class Counter(NamedTuple):
    """A metric that only grows: its name without prefix and suffix, and its description.

    `counts` maps the names of its counts to the values of the label `label`. There are few values, and they are never a
    key or a subject.
    """

    name: str
    documentation: str
    counts: Mapping[str, str]
    label: str = ""


class Gauge(NamedTuple):
    """A metric that goes up and down, as a `Counter`. `rule` makes one value of those of all workers."""

    name: str
    documentation: str
    rule: Literal["sum", "min", "max", "furthest"]
    counts: Mapping[str, str]
    label: str = ""


class Histogram(NamedTuple):
    """How often a value was in each bucket, by the buckets' upper bounds."""

    name: str
    documentation: str
    bounds: tuple[float, ...]


class Requests(NamedTuple):
    """Requests by route: how many had each outcome (a counter), and how long they took (a histogram).

    Both are read from the same cells, so a request is one addition to one of them.
    """

    name: str
    documentation: str
    durations: str
    durations_documentation: str


def _one(name: str) -> dict[str, str]:
    return {name: ""}


def _each(prefix: str, *labels: str) -> dict[str, str]:
    return {f"{prefix}_{label}": label for label in labels}


METRICS: tuple[Counter | Gauge | Histogram | Requests, ...] = (
    Requests(
        "hourpass_requests",
        "Requests answered, by route and outcome",
        "hourpass_request_duration_seconds",
        "How long answers took, by route, from the whole request to the answer",
    ),
    Gauge("hourpass_connections_open", "Open connections of clients", "sum", _one("connections_open")),
    Gauge("hourpass_connections_limit", "Most connections of clients", "sum", _one("connections_limit")),
    Counter(
        "hourpass_connections_refused",
        "Connections refused before a request was understood",
        _each("connections_refused", *get_args(refusals.ConnectionFault)),
        "kind",
    ),
    Counter("hourpass_unavailable", "Requests answered with 503", _one("unavailable")),
    Counter("hourpass_failures", "Requests answered with 500: each is a bug", _one("failure")),
    Counter("hourpass_exchanges", "API keys exchanged for a first pair", _one("exchange")),
    Counter(
        "hourpass_refreshes",
        "Refresh tokens presented, by outcome",
        {name: name.removeprefix("refresh_") for name in (*GRANTED.values(), *REFUSED.values())},
        "outcome",
    ),
    Counter(
        "hourpass_retries_from_elsewhere",
        "Retries from another address than the rotation that they repeat",
        _one("retry_from_elsewhere"),
    ),
    Counter(
        "hourpass_credentials_accepted",
        "Credentials accepted at protected endpoints: access tokens, and API keys themselves",
        _each("accepted", "bearer", "api_key"),
        "kind",
    ),
    Counter(
        "hourpass_forward_auth_refused",
        "Requests that forward auth refused, by reason",
        _each("verify", "no_credential", "invalid_request", "insufficient_scope", *get_args(TokenProblem)),
        "reason",
    ),
    Counter("hourpass_credentials_refused", "API keys that were not genuine", _one("credentials_refused")),
    Counter(
        "hourpass_keys_refused",
        "Genuine API keys that were refused, by reason",
        _each(
            "key",
            *dict.fromkeys((*get_args(KeyTrouble), *get_args(KeyRevokedWhy), "address_not_allowed", "wrong_listener")),
        ),
        "reason",
    ),
    Counter("hourpass_leaks_reported", "API keys reported as leaked for the first time", _one("leak")),
    Counter("hourpass_grants_closed", "Grants closed because their key was at its cap", _one("grants_closed")),
    Counter("hourpass_grants_pruned", "Grants deleted after their end", _one("grants_pruned")),
    Histogram("hourpass_ledger_batch_size", "Requests in one transaction", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    Histogram("hourpass_ledger_queue_seconds", "Longest wait of a request for its transaction to begin", TIMES),
    Histogram("hourpass_ledger_commit_seconds", "How long the commit of a transaction took", TIMES),
    Gauge("hourpass_ledger_waiting", "Requests and jobs that wait for a transaction", "sum", _one("waiting")),
    Counter(
        "hourpass_store_errors",
        "Transactions that the database did not carry out, by kind",
        _each("store", "full", "unreachable", "conflict", "other"),
        "kind",
    ),
    Gauge(
        "hourpass_check_ok",
        "Whether a check of readiness is good (1) or not (0)",
        "min",
        _each("check", *CHECKS),
        "check",
    ),
    Gauge(
        "hourpass_audit_unchained_seconds",
        "How long the oldest row of the audit trail waits to be chained",
        "max",
        _one("audit_behind"),
    ),
    Gauge(
        "hourpass_audit_broken",
        "Whether chaining or pruning found the audit trail other than it was written (1) or not (0)",
        "max",
        _one("audit_broken"),
    ),
    Gauge("hourpass_data_free_bytes", "Free space where the data folder lies", "min", _one("data_free")),
    Gauge("hourpass_revocations_in_force", "Revocations that can still refuse a token", "max", _one("in_force")),
    Gauge("hourpass_revocations_age_seconds", "Time since revocations were looked up", "max", _one("feed_age")),
    Gauge("hourpass_feed_polls_waiting", "Polls of the revocation feed that wait for news", "sum", _one("polls")),
    Gauge(
        "hourpass_signing_keys",
        "Signing keys, by state",
        "max",
        _each("signing_keys", *(state for state in get_args(SigningKeyState) if state != "gone")),
        "state",
    ),
    Gauge(
        "hourpass_signing_key_since_timestamp_seconds",
        "When the key that signs began to sign",
        "min",
        _one("signs_since"),
    ),
    Gauge(
        "hourpass_signing_key_until_timestamp_seconds",
        "When no key signs any more, +Inf if that is not planned",
        "min",
        _one("signs_until"),
    ),
    Gauge(
        "hourpass_clock_offset_seconds",
        "How far this machine's clock is ahead of the database's",
        "furthest",
        _one("clock_offset"),
    ),
    Gauge(
        "hourpass_webhooks",
        "Webhooks, by state, from the node that delivers",
        "max",
        _each("webhooks", "ok", "failing", "given_up", "disabled"),
        "state",
    ),
    Gauge(
        "hourpass_webhook_lag_seconds", "Age of the oldest event that a webhook waits for", "max", _one("webhook_lag")
    ),
    Counter(
        "hourpass_webhook_attempts",
        "Attempts to deliver an event to a webhook, by outcome",
        _each("webhook", "delivered", "failed"),
        "outcome",
    ),
    Counter("hourpass_stalls", "Times that this process stood still for seconds", _one("stalls")),
    Counter("hourpass_log_lines_dropped", "Lines of the log that its reader or disk did not take", _one("dropped")),
    Counter("hourpass_worker_ends", "Workers that ended and were not told to", _one("worker_ended")),
    Counter("process_cpu_seconds", "CPU time of the processes", _one("cpu")),
    Gauge("process_resident_memory_bytes", "Memory of the processes", "sum", _one("memory")),
    Gauge("process_open_fds", "Open file descriptors, of the process with the most", "max", _one("fds")),
    Gauge("process_max_fds", "Most file descriptors of a process", "min", _one("max_fds")),
    Gauge("process_start_time_seconds", "When the process began to serve", "min", _one("start_time")),
)
