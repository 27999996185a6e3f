"""What the agent answers to the programs of this host over HTTP, and how many of them at a time.

Nothing but access tokens leaves here.
"""

import io
import json
import re
import socket
import socketserver
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from hourpass.client.agent.agent import Agent
from hourpass.client.agent.handout import hand_out, reject
from hourpass.client.agent.metrics import metrics
from hourpass.core.errors import ConfigurationError, HourpassError, LoginRequired, Unavailable

MAX_BODY, MAX_CONNECTIONS = 1024, 64
"""Bytes, and connections of one user at a time."""

TIMEOUT = 5.0
"""Seconds that a whole request may take, even if its bytes arrive one by one."""

POLL = 0.2
"""Seconds between two looks at whether to end. Requests are seen at once."""

_MIN_VALID = re.compile(r"[0-9]{1,6}", re.ASCII)
_FINGERPRINT = re.compile(r"[0-9a-f]{16}", re.ASCII)


class LocalCall(BaseHTTPRequestHandler):
    """One request of a program. `server` says whether it is answered."""

    protocol_version = "HTTP/1.1"
    server_version = "hourpass-agent"
    sys_version = ""
    timeout = TIMEOUT
    server: "LocalServer"

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Timed(self.connection, time.monotonic() + TIMEOUT))

    def do_GET(self) -> None:
        self._answer("GET", b"")

    def do_POST(self) -> None:
        # Read the whole body first: a client that is answered while it still sends sees a broken connection.
        length = self.headers.get("Content-Length", "0")
        self._answer("POST", self.rfile.read(min(int(length), 64 * MAX_BODY)) if length.isdecimal() else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
        """Log nothing, because a request may hold anything."""

    def _answer(self, method: str, body: bytes) -> None:
        if not self.server.admits(self):
            self._send(403, {"title": "you may not ask this agent"})
            return
        agent, parts = self.server.agent, urlsplit(self.path)
        try:
            match method, parts.path:
                case "GET", "/token":
                    self._send(200, hand_out(agent.source, _min_valid(parts.query)).to_json())
                case "POST", "/rejected":
                    self._send(200, reject(agent.source, _fingerprint(body)).to_json())
                case "GET", "/health/ready":
                    self._send_health(is_well=agent.is_ready)
                case "GET", "/health/live":
                    self._send_health(is_well=agent.is_live)
                case "GET", "/metrics":
                    self._send(200, metrics(agent).encode(), "text/plain; version=0.0.4")
                case _:
                    self._send(404, {"title": "there is no such path"})
        except ValueError as error:
            self._send(400, {"title": str(error)})
        except LoginRequired as error:
            self._send(503, {"title": str(error), "reason": "login_required"})
        except HourpassError as error:
            retry_after = error.retry_after if isinstance(error, Unavailable) else 1
            self._send(503, {"title": str(error)}, retry_after=retry_after)

    def _send_health(self, *, is_well: bool) -> None:
        self._send(200 if is_well else 503, {"status": "ok" if is_well else "unavailable"})

    def _send(
        self,
        status: int,
        content: bytes | dict[str, str],
        content_type: str = "application/json",
        *,
        retry_after: int = 0,
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        if retry_after:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)


class _Timed(io.RawIOBase):
    """Reads a connection until an instant of the monotonic clock. A socket's time-out starts again with each byte."""

    def __init__(self, connection: socket.socket, ends_at: float) -> None:
        self._connection = connection
        self._ends_at = ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class LocalServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection, and a limit for each user. Its kinds say who may ask."""

    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: Any, shown: str, agent: Agent) -> None:
        self.agent = agent
        self._shown = shown
        self._wanted_address = address
        self._open: Counter[object] = Counter()
        self._guard = threading.Lock()

    def admits(self, call: LocalCall) -> bool:
        """Whether this peer may ask."""
        raise NotImplementedError

    def share_of(self, request: socket.socket) -> tuple[object, int]:
        """Whose limit a connection uses, and how many connections that allows."""
        return None, MAX_CONNECTIONS

    def __enter__(self) -> Self:
        """Start listening.

        Raises:
            ConfigurationError: it cannot listen on the address.
        """
        try:
            super().__init__(self._wanted_address, LocalCall)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {self._shown}: {error.strerror or error}") from None
        threading.Thread(target=self.serve_forever, args=(POLL,), name="hourpass-agent-socket", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            who, places = self.share_of(request)
        except OSError:
            self.shutdown_request(request)
            return
        with self._guard:
            has_place = self._open[who] < places
            self._open[who] += has_place
        if not has_place:
            self.shutdown_request(request)
            return
        try:
            threading.Thread(target=self._serve_one, args=(request, client_address, who), daemon=True).start()
        except RuntimeError:
            self._leave(who)
            self.shutdown_request(request)

    def _serve_one(self, request: Any, client_address: Any, who: object) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            self._leave(who)

    def _leave(self, who: object) -> None:
        with self._guard:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a peer may hang up, and a traceback may hold what it sent."""


def _min_valid(query: str) -> int:
    values = parse_qs(query, keep_blank_values=True, max_num_fields=8).get("min_valid", ["0"])
    if len(values) != 1 or not _MIN_VALID.fullmatch(values[0]):
        raise ValueError("min_valid must be a whole number of seconds")
    return int(values[0])


def _fingerprint(body: bytes) -> str:
    try:
        record: Any = json.loads(body) if len(body) <= MAX_BODY else None
    except (ValueError, RecursionError):
        record = None
    found = record.get("fingerprint") if isinstance(record, dict) else None
    if not isinstance(found, str) or not _FINGERPRINT.fullmatch(found):
        raise ValueError("fingerprint must be the first 16 hex digits of the token's SHA-256")
    return found
