"""Requests as bytes, sent to a proxy by a client that keeps to no rule."""

import contextlib
import json
import re
import select
import socket
import time
from typing import NamedTuple

from tests.proxies.proxies import Proxy


class Answers(NamedTuple):
    """All that came back on one connection."""

    raw: bytes

    @property
    def statuses(self) -> list[int]:
        """In order. A 100 Continue is none of them."""
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d)\b", self.raw)]

    def json(self) -> dict:
        """The body of a single answer that was not chunked."""
        return json.loads(self.raw.partition(b"\r\n\r\n")[2])


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), 10)
    if proxy.scheme == "https":
        return proxy.verify.wrap_socket(connection, server_hostname="127.0.0.1")
    return connection


def talk(proxy: Proxy, *parts: bytes, pause: float = 0.05, patience: float = 5) -> Answers:
    """Send the parts with pauses between them, then listen until the proxy hangs up or says nothing more."""
    received = b""
    with connect(proxy) as connection:
        for number, part in enumerate(parts):
            if number:
                time.sleep(pause)
            try:
                connection.sendall(part)
            except OSError:
                break
        # A TLS socket may hold bytes that select() does not see. Every answer here fits into one read.
        with contextlib.suppress(OSError):
            while select.select([connection], [], [], patience)[0]:
                data = connection.recv(262_144)
                if not data:
                    break
                received += data
    return Answers(received)
