"""TERM while clients misbehave: requests in flight finish, nobody holds the server up, and nothing is lost."""

import contextlib
import signal
import socket
import time

import httpx2
import pytest
from tests.hostile.conftest import exchange, message

DRAIN_TIMEOUT = 2


@pytest.fixture
def server(serve):
    """A server of the test's own, because the test ends it."""
    server = serve(drain_timeout=DRAIN_TIMEOUT, request_timeout=5)
    server.body = b'{"apiKey":"%b"}' % server.create_key()["api_key"].encode()
    return server


@pytest.fixture
def connect(server):
    """A factory of connections to it, which are always closed at the end."""
    with contextlib.ExitStack() as connections:

        def connect(*, receive_buffer: int | None = None) -> socket.socket:
            connection = connections.enter_context(socket.socket())
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(10)
            connection.connect(("127.0.0.1", server.port))
            return connection

        yield connect


def terminate(server, connect) -> None:
    """TERM, and wait until no new connection is taken."""
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            connect().close()
        except OSError:
            return
    raise AssertionError("the server still accepts connections")


def read_to_end(connection, at_once: int = 65_536) -> bytes:
    raw = b""
    while chunk := connection.recv(at_once):
        raw += chunk
    return raw


def test_bodies_that_are_still_arriving_finish_with_200(server, connect):
    """Eight clients at different points of their body. Each goes on after the TERM, one byte at a time."""
    head = exchange(b"", b"content-length: %d" % len(server.body), b"connection: close")
    clients = [(connect(), 1 + 5 * number) for number in range(8)]
    for client, sent in clients:
        client.sendall(head + server.body[:sent])
    time.sleep(0.2)  # the server has read what was sent

    terminate(server, connect)
    for client, sent in clients:
        for byte in server.body[sent:]:
            client.sendall(bytes([byte]))
    answers = [read_to_end(client) for client, _ in clients]

    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 8
    assert all(answer.endswith(b"}") for answer in answers)
    assert server.process.wait(10) == 0


def test_a_client_that_reads_slowly_gets_its_whole_answer(server, connect):
    client = connect(receive_buffer=2_048)
    many = message(b"GET", b"/.well-known/oauth-authorization-server") * 20
    client.sendall(many + exchange(server.body, b"content-length: %d" % len(server.body), b"connection: close"))
    time.sleep(0.2)  # the server has read what was sent

    terminate(server, connect)
    raw = read_to_end(client, at_once=97)

    assert raw.count(b"HTTP/1.1 200 ") >= 1
    assert raw.endswith(b"}")
    assert server.process.wait(10) == 0


def test_idle_connections_hold_nobody_up(server, connect):
    for _ in range(5):
        connect()
    kept_alive = connect()
    kept_alive.sendall(message(b"GET", b"/health/live"))
    assert kept_alive.recv(4_096).startswith(b"HTTP/1.1 200")

    begun = time.monotonic()
    code = server.stop()

    assert code == 0
    assert time.monotonic() - begun < DRAIN_TIMEOUT


def test_a_body_that_never_ends_is_given_up_after_the_drain_timeout(server, connect):
    stuck = connect()
    stuck.sendall(exchange(server.body[:5], b"content-length: %d" % len(server.body)))
    time.sleep(0.2)  # the server has read what was sent

    begun = time.monotonic()
    terminate(server, connect)
    code = server.process.wait(DRAIN_TIMEOUT + 3)
    took = time.monotonic() - begun

    assert (code, took > DRAIN_TIMEOUT - 0.2) == (0, True)
    assert b"Traceback" not in server.log.read_bytes()


def test_a_rotation_that_was_answered_while_draining_is_kept(server, connect):
    """contract.md, promise 3: committed before it was answered."""
    pair = httpx2.post(f"{server.url}/auth/api-key", content=server.body).json()
    body = b'{"refreshToken":"%b"}' % pair["refresh_token"].encode()
    client = connect()
    head = message(b"POST", b"/auth/refresh", b"content-length: %d" % len(body), b"connection: close")
    client.sendall(head + body[:9])
    time.sleep(0.2)  # the server has read what was sent
    terminate(server, connect)
    client.sendall(body[9:])
    rotated = read_to_end(client).partition(b"\r\n\r\n")[2].decode().split('"refresh_token":"')[1].rstrip('"}')
    assert server.process.wait(10) == 0

    server.restart()

    answer = httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": rotated})
    assert answer.status_code == 200
    assert rotated.encode() not in server.log.read_bytes()
