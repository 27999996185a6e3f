"""Connections that are not HTTP are counted, and write next to nothing into the log."""

import json
import socket

import httpx2
from tests.conftest import free_port
from tests.e2e.conftest import PLAIN

GARBAGE = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello", b"GARBAGE\r\n\r\n"]


def send(port: int, *messages: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"".join(messages))
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(65_536)


def refused(admin: int) -> dict[str, int]:
    """The kinds of refused connections that were counted."""
    lines = httpx2.get(f"http://127.0.0.1:{admin}/metrics", **PLAIN).text.splitlines()
    kinds = (line.partition('refused_total{kind="')[2].partition('"} ') for line in lines)
    return {kind: int(float(count)) for kind, _, count in kinds if count and float(count)}


def test_a_thousand_connections_of_garbage_are_counted_and_have_one_line_with_an_address(serve):
    admin = free_port()
    server = serve(admin_listen=f"127.0.0.1:{admin}")

    for number in range(1_000):
        send(server.port, GARBAGE[number % 2])
    oversized = send(server.port, b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"x" * 20_000)

    assert oversized.startswith(b"HTTP/1.1 431 ")
    assert refused(admin) == {"malformed": 1_000, "headers_too_large": 1}
    assert server.stop() == 0  # with it the last lines have left
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    about = [(line["kind"], line["address"]) for line in lines if line["event"] == "connection refused"]
    assert about == [("malformed", "127.0.0.1"), ("headers_too_large", "127.0.0.1")]
    assert {line["event"] for line in lines if line["level"] != "info"} == {"connection refused"}
