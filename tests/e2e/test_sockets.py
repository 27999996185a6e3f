"""Sockets that are not of our making, or not of TCP: systemd passes one on, or a path names one."""

import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest
from tests.conftest import HOURPASS, clean_environment

AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_that_systemd_passes_on_is_served(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        flags = ["--data", tmp_path / "data", "--admin-listen", "off", "--issuer", "http://hourpass.test"]
        server = subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, str(listener.fileno()), HOURPASS, "serve", *flags],
            pass_fds=[listener.fileno()],
            env=clean_environment(),
        )
        try:
            assert httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=60).status_code == 200
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(30)

    assert code == 0


def test_a_unix_socket_is_served_beside_the_port_and_is_gone_at_the_end(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve(unix_socket=path)
    transport = httpx2.HTTPTransport(uds=str(path))

    with httpx2.Client(transport=transport, base_url="http://x") as http:
        assert http.get("/health/live").status_code == 200
    assert httpx2.get(f"{server.url}/health/live").status_code == 200

    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_of_three_signals_drains(serve, number):
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n")
        time.sleep(0.2)  # the server has begun to read it
        server.process.send_signal(number)
        time.sleep(0.2)
        client.sendall(b"\r\n")
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("limit", [160])
def test_few_descriptors_leave_enough_for_the_database(serve, limit):
    """Idle clients that take all connections make room for new ones, and nothing is a 500."""
    server = serve()
    server.stop()
    shell = ["/bin/sh", "-c", f'ulimit -n {limit}; exec "$0" "$@"', HOURPASS, "serve"]
    server._command = shell
    server.restart()
    key = server.create_key()["api_key"]
    clients = []
    try:
        for _ in range(limit):
            one = socket.create_connection(("127.0.0.1", server.port), 10)
            one.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            clients.append(one)
        time.sleep(1.5)  # a connection that has just come is not given up for another
        answers = [httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key}).status_code for _ in range(5)]
    finally:
        for one in clients:
            one.close()

    assert answers == [200] * 5
    assert b'"descriptors": 160' in server.log.read_bytes()
