"""Connections that are refused before there is a request for the application: counted by kind, and seldom logged."""

from collections.abc import MutableMapping
from typing import Literal

from hourpass.server.telemetry.limited_log import LimitedLog

ConnectionFault = Literal["malformed", "headers_too_large", "body_too_large", "slow", "unread", "too_many"]
"""Why: not HTTP, over a limit, too slow to say its request or to read its answer, or one connection too many."""


class Refusals:
    """Counts in `counts`, as `connections_refused_KIND`."""

    def __init__(self, counts: MutableMapping[str, int], log: LimitedLog) -> None:
        self._counts = counts
        self._log = log

    def __call__(self, kind: ConnectionFault, address: str | None) -> None:
        """A connection from this address was refused; None if the peer has no address."""
        self._counts[f"connections_refused_{kind}"] += 1
        self._log.trouble("connection refused", kind, address=address or "")
