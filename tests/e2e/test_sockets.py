"""Sockets that are not of our making, or not of TCP: systemd passes them on, or a path names one."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from tests.conftest import HOURPASS, clean_environment

AS_SYSTEMD = """
import os, sys
count = int(sys.argv[1])
given = [os.dup(int(number)) for number in sys.argv[2:2 + count]]
for number, descriptor in enumerate(given):
    os.set_inheritable(os.dup2(descriptor, 3 + number), True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


class ActivatedServer:
    """A server on sockets that outlive it, as under a socket unit of systemd. The last one may be called `admin`."""

    def __init__(self, folder, listeners, names, *flags):
        self._descriptors = [listener.fileno() for listener in listeners]
        self._flags = ["--data", folder / "data", "--issuer", "http://hourpass.test", *flags]
        self._environment = clean_environment(LISTEN_FDNAMES=names, HOURPASS_LOG_FORMAT="json")
        self.log = folder / "log"

    def start(self):
        given = [str(number) for number in (len(self._descriptors), *self._descriptors)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", AS_SYSTEMD, *given, HOURPASS, "serve", *self._flags],
                pass_fds=self._descriptors,
                env=self._environment,
                stderr=log,
            )
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def activated(tmp_path):
    """A factory of activated servers, each of which is ended with the test."""
    servers = []

    def start(listeners, names, *flags):
        servers.append(ActivatedServer(tmp_path, listeners, names, *flags))
        return servers[-1].start()

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)


def over(path):
    """A client of a unix socket."""
    return httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://x", timeout=60)


def test_sockets_that_systemd_passes_on_are_served_by_their_names(activated, tmp_path):
    """And none of them is inherited by the programs that the server starts."""
    with socket.create_server(("127.0.0.1", 0)) as public, socket.socket(socket.AF_UNIX) as admin:
        admin.bind(str(tmp_path / "admin"))
        admin.listen()
        port = public.getsockname()[1]
        server = activated([public, admin], "http:admin")

        assert httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=60).status_code == 200
        assert httpx2.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
        with over(tmp_path / "admin") as http:
            assert http.get("/metrics").status_code == 200
        flags = [Path(f"/proc/{server.process.pid}/fdinfo/{number}").read_text().split()[3] for number in (3, 4)]
        assert server.stop() == 0

    assert all(int(number, 8) & os.O_CLOEXEC for number in flags)
    said = next(json.loads(line) for line in server.log.read_text().splitlines() if '"listening"' in line)
    assert (said["listen"], said["admin"]) == (f"127.0.0.1:{port}", f"unix:{tmp_path}/admin")


def test_a_restart_on_a_socket_of_systemds_loses_no_request(activated, tmp_path):
    """Each request has a connection of its own. While nobody accepts them, they wait in the socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "http"))
        listener.listen(512)
        server = activated([listener], "http", "--admin-listen", "off")
        answers, over_now = Counter(), threading.Event()

        def ask():
            while not over_now.is_set():
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(60)
                    try:
                        client.connect(str(tmp_path / "http"))
                        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                        answer = client.recv(65_536)
                    except OSError as error:
                        answer = type(error).__name__.encode()
                answers[answer.split(b"\r")[0]] += 1

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        for restart in range(1, 4):
            enough = answers.total() + 200
            until(lambda enough=enough: answers.total() > enough)
            assert server.stop() == 0
            server.start()
            until(lambda restart=restart: server.log.read_text().count('"listening"') == restart + 1)
        over_now.set()
        for client in clients:
            client.join(60)
        assert server.stop() == 0

    assert set(answers) == {b"HTTP/1.1 200 OK"}


def test_a_unix_socket_is_served_beside_the_port_and_is_gone_at_the_end(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve(listen=f"unix:{path}")

    with over(path) as http:
        assert http.get("/health/live").status_code == 200
    assert httpx2.get(f"{server.url}/health/live").status_code == 200
    assert stat.S_IMODE(path.stat().st_mode) == 0o660

    assert server.stop() == 0
    assert not path.exists()


def test_the_admin_listener_may_be_a_unix_socket_which_is_gone_at_the_end(serve, tmp_path):
    """It is the server's user's alone, also if the others have a mode that lets in their group, the proxy's."""
    path = tmp_path / "admin"
    server = serve(admin_listen=f"unix:{path}", listen=f"unix:{tmp_path}/socket", socket_mode="0666")

    with over(path) as http:
        assert http.get("/metrics").status_code == 200
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o666

    assert server.stop() == 0
    assert not path.exists()


def test_the_admin_socket_may_be_opened_to_a_group(serve, tmp_path):
    """operate.md: a folder with the setgid bit gives the socket its group."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, -1, 54_321)
    folder.chmod(0o2750)

    serve(admin_listen=f"unix:{folder}/admin", admin_socket_mode="0660")

    found = (folder / "admin").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, folder.stat().st_gid)


def test_a_peer_on_a_unix_socket_is_a_trusted_proxy(serve, tmp_path):
    """operate.md, "Connections": it is taken for 127.0.0.1, so X-Forwarded-For is believed."""
    server = serve(listen=f"unix:{tmp_path}/socket")
    key = server.create_key("--allow-ip", "203.0.113.0/24")["api_key"]

    with over(tmp_path / "socket") as http:
        told = http.post("/auth/api-key", json={"apiKey": key}, headers={"x-forwarded-for": "203.0.113.7"})
        silent = http.post("/auth/api-key", json={"apiKey": key})

    assert (told.status_code, silent.status_code) == (200, 400)


def test_a_server_that_was_killed_leaves_a_socket_that_the_next_one_replaces(serve, tmp_path):
    server = serve(listen=f"unix:{tmp_path}/socket")
    server.kill()
    assert (tmp_path / "socket").is_socket()

    server.restart()

    with over(tmp_path / "socket") as http:
        assert http.get("/health/live").status_code == 200


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


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
