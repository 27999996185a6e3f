"""Endpoints that get webhooks over TLS: honest, slow, dead and lying ones. Each connection has a thread."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from standardwebhooks import Webhook


class Received(NamedTuple):
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict:
        return json.loads(self.body)


OK = b"HTTP/1.1 204 No Content\r\n\r\n"

Answer = Callable[[socket.socket, Received], bool | None]
"""Answers a request. True keeps the connection."""


def says(answer: bytes) -> Answer:
    """Sends this and ends the connection."""

    def send(connection: socket.socket, received: Received) -> None:
        connection.sendall(answer)

    return send


def accepts(connection: socket.socket, received: Received) -> bool:
    connection.sendall(OK)
    return True


def takes_its_time(connection: socket.socket, received: Received) -> bool:
    """Longer for a few events than the server waits before it writes down what was delivered."""
    time.sleep(0.06)
    return accepts(connection, received)


def is_slow(seconds: float) -> Answer:
    def send(connection: socket.socket, received: Received) -> None:
        time.sleep(seconds)
        with contextlib.suppress(OSError):
            connection.sendall(OK)

    return send


def drips(connection: socket.socket, received: Received) -> None:
    """A byte of a header now and then, without end."""
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            connection.sendall(b"y")
            time.sleep(0.1)


def never_ends(connection: socket.socket, received: Received) -> None:
    """A status that is good, and a body without end."""
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"z" * 4096 + b"\r\n")


def hangs_up(connection: socket.socket, received: Received) -> None:
    """Nothing is answered."""


class Receiver:
    """An endpoint on loopback. `answer` may be replaced while it runs. It notes all requests."""

    def __init__(self, certificate: Path | None, answer: Answer = accepts) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.connections = 0
        self.names: list[str | None] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
            self._tls.sni_callback = lambda connection, name, context: self.names.append(name)
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def events(self) -> list[dict]:
        return [each.event for each in list(self.received)]

    def numbers(self) -> list[int]:
        return [event["number"] for event in self.events()]

    def verified(self, secret: str) -> list[dict]:
        """All events, each proven by the public library."""
        return [Webhook(secret).verify(each.body, each.headers) for each in list(self.received)]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                for received in _requests(reader):
                    self.received.append(received)
                    if not self.answer(connection, received):
                        return
        with contextlib.suppress(OSError):
            connection.close()


def _requests(reader) -> Iterator[Received]:
    while line := reader.readline().decode().rstrip():
        headers = {}
        while header := reader.readline().decode().rstrip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        size = int(headers.get("content-length", 0))
        body = reader.read(size)
        if len(body) < size:  # who sent it was killed
            return
        yield Received(line, headers, body)


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return when a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
