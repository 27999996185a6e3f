"""Which lines of the audit trail an investigation wants."""

from typing import NamedTuple

from hourpass.core.errors import AheadOfTrail
from hourpass.core.event_names import name_now

FOREVER = 1 << 53
"""An instant after every other one."""


class AuditFilter(NamedTuple):
    """Conditions that all must hold. An empty text is none. A line at exactly `since` is in, one at `until` is not.

    Instants are epoch milliseconds. `event` may be in the spelling of older programs. `actor` is the beginning of a
    name.
    """

    key_id: str = ""
    grant_id: str = ""
    event: str = ""
    since: int = 0
    until: int = FOREVER
    actor: str = ""

    def takes(self, at: int, event: str, *, key_id: str | None, grant_id: str | None, actor: str | None) -> bool:
        """Whether a line is wanted."""
        return (
            self.key_id in ("", key_id)
            and self.grant_id in ("", grant_id)
            and name_now(self.event) in ("", name_now(event))
            and (actor or "").startswith(self.actor)
            and self.since <= at < self.until
        )


def require_reached(after: int, last: int) -> None:
    """Refuse to go on after a number beyond the `last` one that was ever given: only another trail can have given it.

    Otherwise nothing would come until the trail has got so far, and then what it numbered meanwhile would be missing.

    Raises:
        AheadOfTrail: saying where the trail ends.
    """
    if after > last:
        words = f"the trail ends at line {last} and not at {after}: it was restored to before that, or is another one"
        raise AheadOfTrail(words)
