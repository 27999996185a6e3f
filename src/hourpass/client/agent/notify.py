"""The agent's status in one line for people, and the messages to systemd (sd_notify(3)).

Owns one datagram socket and nothing else. Without a service manager that listens, it does nothing.
"""

import socket
from contextlib import suppress
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


class Notifier:
    """Sends to the socket that NOTIFY_SOCKET names. Sends nothing if `address` is None or empty."""

    def __init__(self, address: str | None) -> None:
        # A name that begins with @ is in the abstract name space.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def send(self, *lines: str) -> None:
        """Send one datagram of assignments, such as `READY=1`. Never fails and never waits."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(), self._address)


def watchdog_interval(microseconds: str | None, pid: str | None, own_pid: int) -> int | None:
    """Milliseconds between two signs of life: half of WATCHDOG_USEC. None if nobody waits for them.

    `pid` is WATCHDOG_PID. If it is not ours, the variables were inherited from a parent and are for that parent
    (sd_watchdog_enabled(3)).
    """
    if not microseconds or not microseconds.isdecimal() or (pid and pid != str(own_pid)):
        return None
    return max(1, int(microseconds) // 2000)


def duration(milliseconds: int) -> str:
    """Minutes and seconds, for people."""
    minutes, seconds = divmod(max(0, milliseconds) // SECOND, 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
