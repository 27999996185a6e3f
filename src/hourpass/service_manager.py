"""Messages to the service manager: sd_notify(3) and sd_watchdog_enabled(3), for the server and the agent.

Owns one datagram socket for each message and nothing else. Without a service manager that listens, it does nothing.
"""

import socket
from contextlib import suppress


class Notifier:
    """Sends to the socket that NOTIFY_SOCKET names. Sends nothing if `address` is None or empty."""

    def __init__(self, address: str | None) -> None:
        # A name that begins with @ is in the abstract name space.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def send(self, *lines: str) -> bool:
        """Send one datagram of assignments, such as `READY=1`. Returns whether it was sent. Never waits."""
        if not self._address:
            return False
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(), self._address)
            return True
        return False


def watchdog_interval(microseconds: str | None, pid: str | None, own_pid: int) -> int | None:
    """Milliseconds between two signs of life: half of WATCHDOG_USEC. None if nobody waits for them.

    `pid` is WATCHDOG_PID. If it is not ours, the variables were inherited from a parent and are for that parent
    (sd_watchdog_enabled(3)).
    """
    if not microseconds or not microseconds.isdecimal() or (pid and pid != str(own_pid)):
        return None
    return max(1, int(microseconds) // 2000)
