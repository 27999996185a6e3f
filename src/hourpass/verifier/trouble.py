"""The log lines for the operator: one when trouble begins, then at most one a minute, and one when it is over."""

import logging
from collections.abc import Mapping
from typing import Protocol

from hourpass.core.errors import InvalidToken
from hourpass.core.policy import MINUTE

log = logging.getLogger("hourpass.verifier")


class Attempts(Protocol):
    """How often fetching has failed in a row, and why."""

    failures: int
    problem: str


class Trouble:
    """Logs documents that cannot be fetched. `kept` has those that a verifier needs, by name."""

    def __init__(self, issuer: str, kept: Mapping[str, Attempts]) -> None:
        self._issuer = issuer
        self._kept = kept
        self._limit = Limit()
        self._told = False

    def look(self, now: int) -> None:
        """Look after each attempt. A single failure is not logged, because the next try at once mostly succeeds."""
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
    """Logs tokens from the future. A clock is wrong, not the token, and clients fetch new ones in vain."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._limit = Limit()

    def look(self, refusal: InvalidToken, now: int) -> None:
        """Look at the refusal of a token."""
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
        """Whether a line may be written now. If so, it is assumed to be written."""
        if self.told_at is not None and now - self.told_at < MINUTE:
            return False
        self.told_at = now
        return True
