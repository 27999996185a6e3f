"""Writes a token to every sink, then runs the hooks.

Owns this order and the counts. A failure is logged, and tried again at the next call. It never stops the caller.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from hourpass.client.agent.handout import Handout
from hourpass.client.agent.hooks import Hooks
from hourpass.client.agent.sinks import FileSink
from hourpass.client.credential import fingerprint
from hourpass.core.errors import HourpassError


class Plan(NamedTuple):
    """Where tokens go. A reload replaces it as a whole."""

    sinks: Sequence[FileSink]
    hooks: Hooks


class Delivery:
    """Writes tokens to the sinks of a plan. `log` is called with each failure."""

    def __init__(self, plan: Plan, log: Callable[[str], None]) -> None:
        self.plan = plan
        self.is_complete = False
        """Whether every sink has held a token since the start."""
        self.sink_writes: Counter[tuple[str, Literal["written", "failed"]]] = Counter()
        self._log = log
        self._brought = ""

    def bring(self, handout: Handout) -> bool:
        """Make every sink hold this token. Returns whether it differs from the last one. Never fails."""
        results = [self._write(sink, handout) for sink in self.plan.sinks]
        name = fingerprint(handout.access_token)
        is_new = name != self._brought
        self._brought = name
        if "written" in results or (is_new and not results):
            self.plan.hooks.trigger()
        self.is_complete = self.is_complete or "failed" not in results
        return is_new

    def expire(self) -> None:
        """Make every sink drop its token, because it has expired. Never fails."""
        self._brought = ""
        for sink in self.plan.sinks:
            try:
                sink.expire()
            except OSError as error:
                self._count_failure(sink, error)

    def _write(self, sink: FileSink, handout: Handout) -> Literal["written", "failed", "kept"]:
        try:
            if not sink.write(handout):
                return "kept"
        except (HourpassError, OSError) as error:
            self._count_failure(sink, error)
            return "failed"
        self.sink_writes[str(sink.path), "written"] += 1
        return "written"

    def _count_failure(self, sink: FileSink, error: HourpassError | OSError) -> None:
        self.sink_writes[str(sink.path), "failed"] += 1
        self._log(f"{sink.path} is not written: {error.strerror if isinstance(error, OSError) else error}")
