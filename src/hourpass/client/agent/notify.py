"""The agent's status in one line, for people and the service manager."""

from typing import NamedTuple

from hourpass.core.policy import SECOND


class AgentStatus(NamedTuple):
    """The agent's status. Durations are milliseconds, or None if there is no token or no refresh is planned."""

    left: int | None
    refreshed_ago: int | None
    next_refresh: int | None
    trouble: str = ""

    def __str__(self) -> str:
        """The status in one line."""
        if self.left is None:
            return f"no token: {self.trouble or 'waiting for the first one'}"
        parts = [f"token valid for {duration(self.left)}", f"refreshed {duration(self.refreshed_ago or 0)} ago"]
        parts.append("refreshing" if self.next_refresh is None else f"next refresh in {duration(self.next_refresh)}")
        return " · ".join([*parts, self.trouble] if self.trouble else parts)


def duration(milliseconds: int) -> str:
    """Minutes and seconds, for people."""
    minutes, seconds = divmod(max(0, milliseconds) // SECOND, 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
