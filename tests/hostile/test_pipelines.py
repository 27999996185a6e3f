"""Many requests on one connection: one at a time is answered, and a client that sends ahead fills nobody's memory."""

import contextlib
import re
import threading
import time
from pathlib import Path

import pytest
from tests.hostile.conftest import exchange, message

CLOSE = b"connection: close"
PER_CONNECTION = 128 * 1024
"""Bytes: what one connection may hold."""


@pytest.fixture
def memory(target):
    """The server's resident memory in bytes, when asked."""
    status = Path(f"/proc/{target.process.pid}/status")
    return lambda: int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) * 1024


@contextlib.contextmanager
def greedy(target, request, most=8_000_000):
    """A client that sends requests ahead and never reads, for as long as the server takes them."""
    with target.connect() as connection:
        connection.settimeout(0.3)
        sent = 0
        many = request * (65_536 // len(request))
        with contextlib.suppress(OSError):
            while sent < most:
                sent += connection.send(many[sent % len(request) :])
        yield


REQUESTS = {
    "answered at once": message(b"GET", b"/auth/verify"),
    "answered by a task": message(b"GET", b"/health/live"),
    "with a body": exchange(b"{}", b"content-length: 2"),
    "with a large answer": message(b"GET", b"/openapi.json"),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_client_that_sends_ahead_and_never_reads_fills_nobodys_memory(target, memory, request_):
    with greedy(target, request_):
        before = memory()
    with contextlib.ExitStack() as connections:
        for _ in range(8):
            connections.enter_context(greedy(target, request_))
        grown = memory() - before

    assert grown < 8 * PER_CONNECTION + 1_000_000


@pytest.mark.parametrize("request_", [REQUESTS["answered at once"], REQUESTS["with a body"]], ids=["plain", "body"])
def test_all_of_many_requests_sent_ahead_are_answered(target, request_):
    count = 5_000
    raw = bytearray()
    with target.connect() as connection:
        connection.settimeout(30)
        sender = threading.Thread(target=connection.sendall, args=(request_ * count + message(b"GET", b"/", CLOSE),))
        sender.start()
        while chunk := connection.recv(65_536):
            raw += chunk
        sender.join()

    statuses = re.findall(rb"HTTP/1.1 (\d+) ", raw)
    assert statuses[-1] == b"404"
    assert len(statuses) == count + 1
    assert len(set(statuses[:-1])) == 1


def test_requests_of_every_kind_are_answered_in_their_order(target):
    body = target.exchange_body
    chunked = exchange(b"%x\r\n%b\r\n0\r\nx-a: b\r\n\r\n" % (len(body), body), b"transfer-encoding: chunked")
    kinds = [
        (message(b"GET", b"/auth/verify"), 401),
        (exchange(body, b"content-length: %d" % len(body)), 200),
        (message(b"GET", b"/nowhere"), 404),
        (chunked, 200),
        (message(b"GET", b"/health/live", b"content-length: 3", body=b"abc"), 200),
        (exchange(b"{}", b"content-length: 2"), 400),
        (message(b"GET", b"/auth/verify", b"content-length: 3", body=b"abc"), 401),
        (exchange(body, b"connection: upgrade", b"upgrade: h2c", b"content-length: %d" % len(body)), 200),
    ]
    sent = b"".join(request for request, _ in kinds) * 20

    answer = target.talk(sent + message(b"GET", b"/nowhere", CLOSE), patience=20)

    assert answer.statuses == [status for _, status in kinds] * 20 + [404]


def test_other_clients_do_not_wait_for_one_that_sends_ahead(target):
    with greedy(target, REQUESTS["answered by a task"]):
        begun = time.monotonic()
        answers = [target.talk(message(b"GET", b"/health/live", CLOSE)).statuses for _ in range(10)]

    assert answers == [[200]] * 10
    assert time.monotonic() - begun < 10
