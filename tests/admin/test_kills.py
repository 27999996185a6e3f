"""A server that is killed in the middle of a call has carried it out or has not, and the same call finds out which."""

import contextlib
import sys
import threading
import time
from pathlib import Path

import httpx2
from tests.conftest import free_port

SKEWED = Path(__file__).parents[1] / "postgres" / "skewed.py"

AFTER = (0.002, 0.005, 0.008, 0.013)
"""Seconds after which the server is killed: before, during and after the call."""


def test_a_call_that_a_kill_interrupted_makes_one_key_in_the_end(serve):
    port = free_port()
    server = serve(admin_listen=f"127.0.0.1:{port}")
    http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    owner = server.create_key("--admin", "owner")["api_key"]
    token = http.post("/auth/api-key", json={"apiKey": owner}).json()["access_token"]
    bearer = {"authorization": f"Bearer {token}"}
    answers: dict[int, httpx2.Response] = {}

    def create(number: int) -> httpx2.Response:
        headers = bearer | {"idempotency-key": f"call-{number}"}
        return http.post("/admin/v1/keys", json={"name": f"key {number}"}, headers=headers)

    def try_to(number: int) -> None:
        with contextlib.suppress(httpx2.TransportError):
            answers[number] = create(number)

    for number, after in enumerate(AFTER):
        call = threading.Thread(target=try_to, args=(number,))
        call.start()
        time.sleep(after)  # the moment of the kill is what differs
        server.kill()
        call.join()
        # By this clock the reservation of a call that was interrupted is over.
        server._command = [sys.executable, SKEWED, str(31 * (number + 1))]
        server.restart()
        again = create(number)
        assert again.status_code == 201, again.text
        if number in answers:
            assert again.content == answers[number].content
        proven = http.post("/admin/v1/keys/find", json={"api_key": again.json()["api_key"]}, headers=bearer)
        assert proven.json()["name"] == f"key {number}"

    listed = http.get("/admin/v1/keys?text=key+", headers=bearer).json()["data"]
    assert sorted(key["name"] for key in listed) == [f"key {number}" for number in range(len(AFTER))]
    http.close()
