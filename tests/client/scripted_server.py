"""A token server on a real socket that answers, byte for byte, what its script says: as other people's servers do.

Without a script it behaves as the source's own service: 3599 s, opaque tokens, and the same refresh token every time.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.parser import BytesHeaderParser
from email.policy import HTTP

KEEPS = "def50200-never-rotated"
"""The refresh token that every answer brings."""

Answer = bytes | Callable[[socket.socket], None]


def pair(number: int, **changes: object) -> bytes:
    """The body of a token answer. A change to `...` takes a member away."""
    members = {"token_type": "Bearer", "expires_in": 3599, "access_token": f"opaque-{number}", "refresh_token": KEEPS}
    return json.dumps({name: value for name, value in {**members, **changes}.items() if value is not ...}).encode()


def http(status: int, body: bytes = b"", content_type: str | None = "application/json", *headers: str) -> bytes:
    """A whole response, with the length that it has unless `headers` say another."""
    lines = [f"HTTP/1.1 {status} Scripted", "Connection: close", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if not any(header.lower().startswith(("content-length:", "transfer-encoding:")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class ScriptedServer:
    """Serves from creation to `close`, one connection after another. `script` holds the next answers.

    `requests` are those that arrived whole, as (path, headers, JSON body). `connections` counts every one accepted.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Answer] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, object]]] = []
        self.connections = 0
        self.released = threading.Event()
        """`stall` waits for this."""
        self.before_tls = 0.0
        """Seconds that the server takes before it shakes hands."""
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def paths(self) -> list[str]:
        """The last part of each path asked for."""
        return [path.rpartition("/")[2] for path, _, _ in self.requests]

    @property
    def bodies(self) -> list[dict[str, object]]:
        """The bodies that were posted."""
        return [body for _, _, body in self.requests]

    def stall(self, connection: socket.socket) -> None:
        """An answer that does not come before `released`. Then it is a pair."""
        self.released.wait(30)
        connection.sendall(http(200, pair(len(self.requests))))

    def close(self) -> None:
        self.released.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            # A client that goes away, or does not like our certificate, is the test's subject and not our trouble.
            with suppress(OSError), connection:
                connection.settimeout(10)
                if self._tls is None:
                    self._answer(connection)
                else:
                    time.sleep(self.before_tls)
                    with self._tls.wrap_socket(connection, server_side=True) as secured:
                        self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65_536)
            if not part:
                return
            received += part
            if not received.startswith(b"POST "[: len(received)]):
                # As any server answers what is not HTTP.
                connection.sendall(http(400))
                return
        head, _, body = received.partition(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        headers = {name.lower(): value for name, value in BytesHeaderParser(policy=HTTP).parsebytes(fields).items()}
        while len(body) < int(headers["content-length"]):
            body += connection.recv(65_536)
        self.requests.append((line.split()[1].decode(), headers, json.loads(body)))
        answer = self.script.pop(0) if self.script else http(200, pair(len(self.requests)))
        if callable(answer):
            answer(connection)
        else:
            connection.sendall(answer)
