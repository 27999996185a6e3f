"""A real server that is slow, dies or comes back, a real agent, and a program that lives on the token file."""

import json
import os
import pty
import re
import subprocess
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import httpx2
import pytest
from tests.agent.conftest import ask, eventually
from tests.conftest import LOOKS_SECRET

RETRY = 75
"""Seconds: an agent tries again once a minute at least."""


class HoldingProxy(ThreadingHTTPServer):
    """Passes POSTs on to a server. The answer to a refresh waits for `let_go`."""

    daemon_threads = True

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), self._handler(url))
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.holds, self.let_go = threading.Event(), threading.Event()

    def _handler(proxy, url):  # noqa: N805 the other self is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(url + self.path, content, {"Content-Type": "application/json"})
                with urlopen(request) as answer:
                    body = answer.read()
                if self.path == "/auth/refresh":
                    proxy.holds.set()
                    assert proxy.let_go.wait(20)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


@pytest.fixture
def proxy(server):
    proxy = HoldingProxy(server.url)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
    thread.start()
    yield proxy
    proxy.let_go.set()
    proxy.shutdown()
    thread.join()
    proxy.server_close()


@pytest.fixture
def server(serve):
    return serve(exchange_limit=0)


@pytest.fixture
def api_key(server):
    return server.create_key()["api_key"]


def test_term_finishes_the_refresh_in_flight_and_exits_0(proxy, api_key, start):
    agent = start(proxy.url, api_key).ready()
    before = agent.token()
    agent.send("SIGUSR1")
    assert proxy.holds.wait(10)

    agent.send("SIGTERM")
    time.sleep(0.3)
    assert agent.process.poll() is None
    proxy.let_go.set()

    assert agent.process.wait(20) == 0
    assert agent.sink.read_text() != before
    successor = start(proxy.url, api_key).ready()
    assert successor.token() == agent.sink.read_text()
    assert successor.metric("exchanges_total") == 0


def test_programs_are_served_while_a_refresh_is_under_way(proxy, api_key, start):
    agent = start(proxy.url, api_key).ready()
    before = agent.token()
    agent.send("SIGUSR1")
    assert proxy.holds.wait(10)

    assert agent.token() == before

    proxy.let_go.set()
    eventually(lambda: agent.token() != before)


def test_a_server_that_is_away_at_the_start_is_waited_for(server, api_key, start):
    server.kill()
    agent = start(server.url, api_key)
    agent.wait_for("no connection")
    assert ask(agent.socket, "/health/ready")[0] == 503
    assert ask(agent.socket, "/health/live")[0] == 200

    server.restart()

    eventually(agent.is_ready, RETRY)


def use(server, token):
    return httpx2.get(
        f"{server.url}/auth/verify", headers={"Authorization": f"Bearer {token}"}, verify=False
    ).status_code


@pytest.mark.slow
def test_a_program_that_reads_the_file_makes_requests_for_three_lifetimes_without_one_failure(serve, start):
    """A server may issue tokens for less than an hour."""
    server = serve(access_token_lifetime=12, exchange_limit=0)
    agent = start(server.url, server.create_key()["api_key"]).ready()
    tokens, statuses = set(), []
    ends_at = time.monotonic() + 36
    while time.monotonic() < ends_at:
        tokens.add(token := agent.sink.read_text())
        statuses.append(use(server, token))
        time.sleep(0.05)

    assert set(statuses) == {204}
    assert len(statuses) > 300
    assert len(tokens) >= 4
    assert agent.metric("exchanges_total") == 1


@pytest.mark.slow
def test_a_server_that_is_away_from_soft_past_hard_and_back_loses_no_grant(serve, start):
    """The file holds the good token until it expires, none after that, and the next one once the server is back."""
    server = serve(access_token_lifetime=6, exchange_limit=0)
    agent = start(server.url, server.create_key()["api_key"]).ready()
    first = agent.sink.read_text()
    # Hard comes 4.8 s after it was issued, the end 6 s after.
    issued_at = json.loads(ask(agent.socket, "/token")[1])["issued_at"] / 1000
    server.kill()

    while time.time() < issued_at + 4.5:
        assert agent.sink.read_text() == first
        assert agent.token() == first
        time.sleep(0.1)
    eventually(lambda: not agent.sink.exists(), 5)
    assert time.time() >= issued_at + 6
    assert ask(agent.socket, "/token")[0] == 503

    server.restart()

    eventually(agent.sink.exists, RETRY)
    assert use(server, agent.sink.read_text()) == 204
    assert agent.metric("exchanges_total") == 1
    assert len(json.loads(server.command("grants", "list", "--json").stdout)) == 1


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_on_a_terminal_one_line_is_written_over(server, api_key, start, environment):
    ours, theirs = pty.openpty()
    try:
        agent = start(server.url, api_key, **environment)
        agent.kill()
        agent.environment["TERM"] = "xterm"
        process = subprocess.Popen(agent.arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=agent.environment)
        os.close(theirs)
        shown = ""
        while not re.search(r"(\r\x1b\[K[^\n]*token valid for 59 min[^\n]*){2}", shown):
            shown += os.read(ours, 4096).decode()
        process.terminate()
        with suppress(OSError):
            while part := os.read(ours, 4096):
                shown += part.decode()
        assert process.wait(20) == 0
    finally:
        os.close(ours)

    assert "next refresh in" in shown
    assert ("\x1b[2m" in shown) == (not environment)
    assert not LOOKS_SECRET.search(shown.encode())


def test_elsewhere_there_are_log_lines_alone(server, api_key, start):
    agent = start(server.url, api_key).ready()
    assert agent.stop() == 0

    lines = agent.log.read_text().splitlines()

    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \w[^\x1b\r]*", line) for line in lines)
    assert [line.split(" ", 1)[1] for line in lines][-1] == "stopped"
