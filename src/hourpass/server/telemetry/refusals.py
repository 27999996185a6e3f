"""Counts the connections that are refused before the application gets a request, by kind, and rarely logs them."""

from typing import TYPE_CHECKING, Literal

from hourpass.server.telemetry.limited_log import LimitedLog

if TYPE_CHECKING:
    from hourpass.server.telemetry.counts import Counts

ConnectionFault = Literal["malformed", "headers_too_large", "body_too_large", "slow", "unread", "too_many"]
"""Why a connection is refused: not HTTP, over a limit, too slow to send or to read, or one connection too many."""


class Refusals:
    """Counts refusals in `counts`, as `connections_refused_KIND`."""

    def __init__(self, counts: "Counts", log: LimitedLog) -> None:
        self._counts = counts
        self._log = log

    def __call__(self, kind: ConnectionFault, address: str | None) -> None:
        """Note that a connection from this address was refused. The address is None if the peer has none."""
        self._counts.add(f"connections_refused_{kind}")
        self._log.trouble("connection refused", kind, address=address or "")
