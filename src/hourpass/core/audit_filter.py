"""Which lines of the audit trail an investigation wants."""

from typing import NamedTuple

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
