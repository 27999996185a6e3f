"""When the audit trail tells that a key expires: 30, 7 and 1 days before, and at its end. Each once."""

from itertools import pairwise
from typing import NamedTuple

from hourpass.core.key_events import KeyExpired, KeyExpiring
from hourpass.core.policy import DAY

NOTICES = (30, 7, 1, 0)
"""Days before the end. 0 is the end itself."""

_NEXT = dict(pairwise(NOTICES))


class KeyExpiry(NamedTuple):
    """A key and the instant at which it expires, in epoch milliseconds. Notices are given in this order."""

    expires_at: int
    key_id: str


LAST = "~"
"""An id after that of every key."""


def told_until(days: int, now: int) -> KeyExpiry:
    """The last expiry whose notice of so many days is due at an instant."""
    return KeyExpiry(now + days * DAY, LAST)


def first_worth_telling(days: int, told: KeyExpiry, now: int) -> KeyExpiry:
    """The expiry after which to go on. After a pause, a key whose next notice is due as well gets only that one."""
    return told if days == 0 else max(told, told_until(_NEXT[days], now))


def notice(days: int, expiry: KeyExpiry, name: str) -> KeyExpiring | KeyExpired:
    """What the trail tells."""
    if days:
        return KeyExpiring(expiry.key_id, name, days, expiry.expires_at)
    return KeyExpired(expiry.key_id, name, expiry.expires_at)
