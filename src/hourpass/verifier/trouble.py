"""What the operator's log is told: one line when trouble begins, then one a minute, and one when it is over."""

import logging
from collections.abc import Mapping
from typing import Protocol

from hourpass.core.errors import InvalidToken
from hourpass.core.policy import MINUTE

log = logging.getLogger("hourpass.verifier")


class Attempts(Protocol):
    """How often fetching failed in a row, and why."""

    failures: int
    problem: str


class Trouble:
    """Tells of documents that cannot be fetched. `kept` are those that a verifier needs, by their names."""

    def __init__(self, issuer: str, kept: Mapping[str, Attempts]) -> None:
        self._issuer = issuer
        self._kept = kept
        self._limit = Limit()
        self._told = False

    def look(self, now: int) -> None:
        """An attempt has ended. One that fails alone is not told: it is tried again at once, which most often helps."""
        failing = {name: each for name, each in self._kept.items() if each.failures > 1}
        if failing:
            if self._limit.allows(now):
                self._told = True
                names, problem = " and ".join(failing), next(iter(failing.values())).problem
                log.warning("the %s of %s cannot be fetched: %s", names, self._issuer, problem)
        elif self._told and not any(each.failures for each in self._kept.values()):
            self._told = False
            log.info("the %s of %s are fetched again", " and ".join(self._kept), self._issuer)


class EarlyTokens:
    """Tells of good tokens from the future: no fault of theirs, but of a clock, and clients fetch new ones in vain."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._limit = Limit()

    def look(self, refusal: InvalidToken, now: int) -> None:
        """A token was refused."""
        if refusal.problem == "not_yet_valid" and self._limit.allows(now):
            log.warning(
                "a token of %s was %s: this machine's clock is behind, or the issuer's ahead",
                self._issuer,
                refusal.detail,
            )


class Limit:
    """Allows one line a minute."""

    def __init__(self) -> None:
        self.told_at: int | None = None

    def allows(self, now: int) -> bool:
        """Whether a line may be written now; it is taken to be."""
        if self.told_at is not None and now - self.told_at < MINUTE:
            return False
        self.told_at = now
        return True
