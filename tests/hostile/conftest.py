"""Real servers, and a client that keeps to no rule. After each test the server serves on, and its log tells nothing."""

import re
import select
import socket
import time
from typing import NamedTuple

import httpx2
import pytest
from tests.conftest import ServerProcess

REQUEST_TIMEOUT = 1
LONGEST = REQUEST_TIMEOUT + 2.5
"""Nobody hangs for longer: the limit, the sweep once a second, and a busy machine."""


class Answer(NamedTuple):
    """All that the server sent. `hung` says that it neither closed the connection in time nor would have."""

    raw: bytes
    hung: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.raw)]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


class Target(ServerProcess):
    """A server with secrets to plant: a key, and the tokens of one exchange."""

    def plant(self) -> "Target":
        self.api_key = self.create_key()["api_key"]
        pair = httpx2.post(f"{self.url}/auth/api-key", json={"apiKey": self.api_key}).json()
        self.access_token, self.refresh_token = pair["access_token"], pair["refresh_token"]
        self.exchange_body = b'{"apiKey":"%b"}' % self.api_key.encode()
        return self

    def connect(self) -> socket.socket:
        """A new connection, by TCP or by the unix socket."""
        if self.unix_socket is None:
            return socket.create_connection(("127.0.0.1", self.port), 5)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5)
        connection.connect(str(self.unix_socket))
        return connection

    def talk(self, *parts: bytes, pause: float = 0, half_close: bool = False, patience: float = LONGEST) -> Answer:
        """Send parts with pauses between them, listening all the while, then listen until the server hangs up."""
        received, closed, started = b"", False, time.monotonic()
        with self.connect() as connection:
            for number, part in enumerate(parts):
                if number:
                    received, closed = _listen(connection, received, pause)
                if closed:
                    break
                try:
                    connection.sendall(part)
                except OSError:
                    break
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            if not closed:
                received, closed = _listen(connection, received, patience)
        return Answer(received, not closed, time.monotonic() - started)

    def tells(self, raw: bytes) -> list[str]:
        """Which of the planted secrets some bytes hold."""
        secrets = {"key": self.api_key, "access token": self.access_token, "refresh token": self.refresh_token}
        return [name for name, secret in secrets.items() if secret[-40:].encode() in raw]


def _listen(connection: socket.socket, received: bytes, seconds: float) -> tuple[bytes, bool]:
    """The bytes that have arrived after some time, and whether the server hung up."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and select.select([connection], [], [], left)[0]:
        try:
            chunk = connection.recv(65_536)
        except OSError:
            return received, True
        if not chunk:
            return received, True
        received += chunk
    return received, False


@pytest.fixture(scope="module", params=["TCP", "unix"])
def process(request, tmp_path_factory):
    """One server for a whole file: what one test did to it, the next one would meet."""
    folder = tmp_path_factory.mktemp("hostile")
    flags = {"request-timeout": REQUEST_TIMEOUT, "exchange-limit": 0}
    unix_socket = folder / "socket" if request.param == "unix" else None
    if unix_socket:
        flags["listen"] = f"unix:{unix_socket}"
    target = Target(folder / "data", folder / "server.log", flags, {})
    target.unix_socket = unix_socket
    target.start()
    yield target.plant()
    target.kill()


@pytest.fixture
def target(process):
    """The server, unharmed by what the test did: it serves on, logged no secret, and had no failure of its own."""
    yield process
    answer = httpx2.post(f"{process.url}/auth/api-key", content=process.exchange_body)
    assert answer.status_code == 200
    log = process.log.read_bytes()
    assert process.tells(log) == []
    assert b"Traceback" not in log
    assert process.process.poll() is None


def message(method: bytes, path: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request as bytes, with nothing added but a host."""
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method, path), b"host: x", *headers, b"", body))


def exchange(body: bytes, *headers: bytes) -> bytes:
    return message(b"POST", b"/auth/api-key", *headers, body=body)
