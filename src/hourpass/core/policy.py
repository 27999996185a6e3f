"""Every duration and limit that a rule needs, in one place, each with its reason.

Durations are integer milliseconds, like every instant inside hourpass.
"""

from typing import NamedTuple

from hourpass.core.absence import Absence

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LEEWAY = 5 * SECOND
"""How long after `exp` an access token is still accepted.

The source's clients start their clock when the answer arrives, so they run late by one round trip;
RFC 7519 §4.1.4 allows "some small leeway".
"""

EARLY = 30 * SECOND
"""How long before its `iat` an API accepts an access token.

An API whose clock is behind would refuse every fresh token, and its clients would fetch others in vain. That a token is
from the future does no harm: its signature says who made it.
"""

MAX_RETRY_WINDOW = 300 * SECOND
"""No window is longer: at 300 s a stolen token is already caught by only 85 % of the victim's refreshes."""

RING_SIZE = 8
"""K, the supersession times a grant remembers: 8 workers sharing one token can all be one rotation late."""


MAX_ACCESS_TOKEN_LIFETIME = DAY
"""The longest that an operator may set."""


class Policy(NamedTuple):
    """What the operator may set. Immutable; a key's own retry window is applied with `with_retry_window`."""

    access_token_lifetime: int = HOUR
    """The source's `expires_in` of 3600 s: short enough that a leaked token is soon worthless."""

    retry_window: int = MINUTE
    """W: a retry after a lost response succeeds, and 97 % of thefts show at the victim's next refresh."""

    idle_lifetime: int = 30 * DAY
    """A grant that nobody refreshed for a month belongs to a client that is gone."""

    absolute_lifetime: int = 90 * DAY
    """No lineage outlives a quarter, however busy (RFC 9700 §4.14.2 asks for an end)."""

    grants_per_key: int = 10_000
    """Live grants per API key. Clients that exchange on every request would else grow without bound."""

    absences: tuple[Absence, ...] = ()
    """The spans in which nobody could be answered, in the order of time; what happened sets them, not the operator."""

    publish_ahead: int = 10 * MINUTE
    """A new signing key is published this long before it signs: the JWK Set's max-age, twice."""

    def with_retry_window(self, retry_window: int | None) -> "Policy":
        """This policy with a key's own window; None keeps the general one."""
        if retry_window is None or retry_window == self.retry_window:
            return self
        return self._replace(retry_window=retry_window)

    @property
    def revocation_lifetime(self) -> int:
        """How long a revocation must be remembered: as long as the longest token it could refuse."""
        return self.access_token_lifetime + LEEWAY


def backoff(failures: int, chance: float, *, first: int, longest: int, least: int = 0, share: float = 1.0) -> int:
    """Milliseconds before the next attempt, after so many failures before the last one: doubling up to `longest`.

    `share` of it is left to `chance`, from 0 to 1, so that those who failed together do not come back together.
    """
    pause = min(longest, first << min(failures, 16))
    return max(least, round(pause * (1 - share * (1 - chance))))
