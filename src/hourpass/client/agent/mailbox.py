"""Where threads and signal handlers leave messages for the agent's loop.

The loop waits on a descriptor, not on a lock: a signal that arrives just before the wait, or in another thread, would
not end a wait for a lock.
"""

import select
import socket
from collections import deque
from contextlib import suppress
from typing import Literal

from hourpass.client.refresh.fetcher import RefreshEvent

Message = Literal["reload", "refresh", "stop", "key"] | RefreshEvent
"""What wakes the loop: the requests that signals stand for, another key in the file, and the events of the source."""


class Mailbox:
    """Messages in the order in which they came. One thread takes them out."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)

    def put(self, message: Message) -> None:
        """Leave a message. Never waits."""
        self._messages.append(message)
        # The buffer is full, so the loop wakes anyway.
        with suppress(BlockingIOError):
            self._button.send(b"\0")

    def get(self, seconds: float) -> Message | None:
        """The next message, after at most `seconds`. None if none came."""
        if not self._messages:
            select.select([self._bell], [], [], seconds)
            with suppress(BlockingIOError):
                self._bell.recv(4096)
        return self._messages.popleft() if self._messages else None

    def is_empty(self) -> bool:
        """Whether there is no message now."""
        return not self._messages

    def wakeup_descriptor(self) -> int:
        """The descriptor for `signal.set_wakeup_fd`."""
        return self._button.fileno()

    def close(self) -> None:
        """Close the descriptors. No message may come after this."""
        self._bell.close()
        self._button.close()
