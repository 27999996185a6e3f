"""If anything goes wrong between proxy and hourpass, nobody gets in, and no answer blames the token."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.proxies.proxies import ALL, Nginx


class Troubled(BaseHTTPRequestHandler):
    """A hourpass that answers with the status that the token names."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Nothing is logged."""

    def answer(self):
        status, _, bare = self.headers.get("Authorization", "Bearer 401").split()[1].partition("-")
        self.send_response(int(status))
        self.send_header("Content-Length", "0")
        if not bare:
            self.send_header("Retry-After" if status == "503" else "WWW-Authenticate", "1")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 - http.server's names


@pytest.fixture(scope="module")
def troubled():
    """Its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Troubled) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize("kind", ALL.values(), ids=ALL)
def test_only_a_yes_lets_a_request_in(kind, start, troubled):
    """A 503 stays one. An answer that hourpass never gives, a redirect or a 404, lets nobody in either."""
    proxy = start(kind, troubled)
    try:
        told = {
            status: proxy.client.get("/videos", headers={"Authorization": f"Bearer {status}"}).status_code
            for status in (503, 500, 404, 302, 400)
        }
    finally:
        proxy.stop()

    assert told[503] == 503
    assert told[500] >= 500
    assert all(status >= 300 and status != 401 for status in told.values())


@pytest.mark.parametrize("kind", ALL.values(), ids=ALL)
def test_a_no_without_the_headers_of_ours_lets_nobody_in(kind, start, troubled):
    """A load balancer in between may say no in its own way. HAProxy goes on if its program fails on that."""
    proxy = start(kind, troubled)
    try:
        told = [
            proxy.client.get("/videos", headers={"Authorization": f"Bearer {status}-bare"}).status_code
            for status in (401, 403, 503)
        ]
    finally:
        proxy.stop()

    assert all(status >= 400 for status in told)


@pytest.fixture
def answers_of_nginx(start, hourpass, reader):
    """The answers to a request to the API and to a refresh while hourpass is away."""
    nginx = start(Nginx, hourpass.port)
    hourpass.kill()
    try:
        yield [
            nginx.client.get("/videos", headers=reader.bearer),
            nginx.client.post("/auth/refresh", json={"refreshToken": "x"}),
        ]
    finally:
        hourpass.restart()
        nginx.stop()


def test_nginx_calls_it_a_503_with_retry_after_and_a_problem(answers_of_nginx):
    """One official client reads `title` of every error without looking."""
    for answer in answers_of_nginx:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["title"] == "The service is unavailable for a moment."
