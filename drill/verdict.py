"""Judges what the drill saw: gaps, numbers and violations. It is pure: it reads no clock and asks nobody."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

ALLOWED = frozenset({"503", "connection refused", "connection lost", "timed out", "exit 1"})
"""The errors that a client or the operator's command may get while the database is away. They all mean: ask again."""


def longest_gap(instants: Sequence[float], begin: float, end: float) -> float:
    """The longest time within `begin`..`end` in which nothing happened. `instants` are in order."""
    inside = instants[bisect_left(instants, begin) : bisect_left(instants, end)]
    edges = [begin, *inside, end]
    return max(later - earlier for earlier, later in pairwise(edges))


def lineage_faults(acknowledged: int, stored: int | None, answers: Sequence[tuple[int, str]]) -> list[str]:
    """What is wrong with a grant, given the last generation that its only client got.

    `stored` is the database's (None: no live grant), `answers` the generation and `jti` that each node gives for that
    client's token, one after the other. One refresh may have been carried out without its answer arriving.
    """
    if stored is None:
        return ["falsely lost"]
    faults = []
    if stored < acknowledged:
        faults.append("an acknowledged refresh is lost")
    if stored > acknowledged + 1:
        faults.append("somebody else rotates it")
    if len(set(answers)) != 1:
        faults.append("a second lineage")
    if any(generation not in (acknowledged, acknowledged + 1) for generation, _ in answers):
        faults.append("not the successor")
    return faults


@dataclass
class Record:
    """What the clients saw. Instants are seconds of one monotonic clock, in order."""

    refreshed: list[float] = field(default_factory=list)
    verified: list[float] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When each refresh was acknowledged, and for how long its client had asked."""
    troubles: list[tuple[float, str, str]] = field(default_factory=list)
    """When something failed, what it was, and what came instead of an answer."""
    violations: list[str] = field(default_factory=list)

    def trouble(self, at: float, what: str, kind: str) -> None:
        """Note that no answer came, or a wrong one. If it is not an allowed one, it is a violation."""
        self.troubles.append((at, what, kind))
        if kind not in ALLOWED:
            self.violations.append(f"{what}: {kind}")

    def part(self, fault: float, end: float) -> dict[str, object]:
        """The figures of one part of the drill, from a second before its fault on."""
        begin = fault - 1
        errors = Counter(f"{what}: {kind}" for at, what, kind in self.troubles if begin <= at < end)
        return {
            "gap_s": round(longest_gap(self.refreshed, begin, end), 2),
            "verify_gap_s": round(longest_gap(self.verified, begin, end), 2),
            "longest_wait_s": round(max((waited for at, waited in self.waits if begin <= at < end), default=0.0), 2),
            "refreshes": bisect_left(self.refreshed, end) - bisect_left(self.refreshed, begin),
            "refreshes_in_the_last_second": bisect_left(self.refreshed, fault) - bisect_left(self.refreshed, begin),
            "errors": dict(sorted(errors.items())),
        }
