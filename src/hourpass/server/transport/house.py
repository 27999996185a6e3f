"""What the connections of a server share, and the states of a connection that the server looks at."""

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from hourpass.server.telemetry.refusals import ConnectionFault
from hourpass.server.transport.request import Application, Reply

if TYPE_CHECKING:
    from hourpass.server.transport.http1 import Connection


class House(Protocol):
    """What all connections of a server share."""

    app: Application
    loop: asyncio.AbstractEventLoop
    header_limit: int
    keep_alive: bool
    date: bytes

    def arrived(self, connection: "Connection") -> bool:
        """Note a new connection. False if it is one too many."""

    def left(self, connection: "Connection") -> None:
        """Note that a connection has ended."""

    def refused(self, kind: ConnectionFault, address: str | None) -> None:
        """Note that a connection is refused, because of what it sent or did not send."""

    def refusal(self, status: int) -> Reply:
        """The answer to a request that never reaches the application."""

    def failed(self, error: Exception) -> Reply:
        """The answer if the application raised an error."""


class ConnectionState(Enum):
    """What a connection waits for."""

    IDLE = auto()  # its next request
    READING = auto()  # its first request, or the rest of one
    ANSWERING = auto()  # the application
    ENDING = auto()  # the client to close, after a refusal
