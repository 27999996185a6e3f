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

The source's clients start their clock when the answer arrives, so they run late by one round trip.
RFC 7519 §4.1.4 allows "some small leeway".
"""

EARLY = 30 * SECOND
"""How long before its `iat` an API accepts an access token.

An API whose clock is behind would otherwise refuse every fresh token, and its clients would fetch others in vain. A
token from the future does no harm: its signature proves who made it.
"""

MAX_RETRY_WINDOW = 300 * SECOND
"""The longest window that may be set. At 300 s only 85 % of the victim's refreshes still reveal a stolen token."""

RING_SIZE = 8
"""K, how many supersession times a grant remembers: 8 workers that share one token can all be one rotation late."""


MAX_ACCESS_TOKEN_LIFETIME = DAY
"""The longest lifetime that an operator may set."""


class Policy(NamedTuple):
    """What the operator may set. Immutable. `with_retry_window` applies a key's own retry window."""

    access_token_lifetime: int = HOUR
    """The source's `expires_in` of 3600 s: short enough that a leaked token is soon worthless."""

    retry_window: int = MINUTE
    """W: a retry after a lost answer succeeds, and 97 % of thefts still show at the victim's next refresh."""

    idle_lifetime: int = 30 * DAY
    """A grant that nobody refreshed for a month belongs to a client that is gone."""

    absolute_lifetime: int = 90 * DAY
    """No lineage outlives a quarter, however busy it is (RFC 9700 §4.14.2 asks for an end)."""

    grants_per_key: int = 10_000
    """Live grants per API key. Without this cap, a client that exchanges on every request adds rows without end."""

    absences: tuple[Absence, ...] = ()
    """The spans in which nobody could be answered, in the order of time. The server notes them, nobody sets them."""

    publish_ahead: int = 10 * MINUTE
    """A new signing key is published this long before it signs: twice the max-age of the JWK Set."""

    def with_retry_window(self, retry_window: int | None) -> "Policy":
        """This policy with a key's own window, in milliseconds. None keeps the general one."""
        if retry_window is None or retry_window == self.retry_window:
            return self
        return self._replace(retry_window=retry_window)

    @property
    def revocation_lifetime(self) -> int:
        """How many milliseconds a revocation must be remembered: as long as the longest token it can refuse."""
        return self.access_token_lifetime + LEEWAY


def backoff(failures: int, chance: float, *, first: int, longest: int, least: int = 0, share: float = 1.0) -> int:
    """Milliseconds before the next attempt: `first` after one failure, then doubled each time, up to `longest`.

    `failures` is the number of failures before the last one. `share` of the pause is left to `chance`, both from 0 to
    1, so that clients that failed together do not come back together. The pause is never below `least`.
    """
    pause = min(longest, first << min(failures, 16))
    return max(least, round(pause * (1 - share * (1 - chance))))
