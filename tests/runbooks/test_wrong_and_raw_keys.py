"""docs/runbooks/wrong-keys.md and raw-keys.md, on a server that gets all of them."""

import httpx2
import pytest
from tests.e2e.conftest import PLAIN
from tests.server.conftest import nobodys_key

EXAMPLE_KEY = "esfgQNdftXvX"
MANY = 101


@pytest.fixture
def server(serve, prometheus):
    server = serve(admin_listen=prometheus.target(), exchange_limit=0)
    prometheus.await_scraped(server.admin)
    return server


@pytest.fixture
def http(server):
    with httpx2.Client(base_url=server.url, **PLAIN) as http:
        yield http


def test_wrong_keys_and_ended_ones_raise_the_alarm_and_it_passes_when_they_stop(
    server, http, prometheus, open_runbook, await_symptom
):
    key = server.create_key()
    server.command("keys", "revoke", key["key_id"])
    for _ in range(MANY):
        assert http.post("/auth/api-key", json={"apiKey": nobodys_key()}).status_code == 400
    assert http.post("/auth/api-key", json={"apiKey": key["api_key"]}).json()["reason"] == "revoked"
    book = open_runbook("wrong-keys", server)
    await_symptom(book, server)

    said = book.run()
    book.await_over()

    assert key["key_id"] in said["hourpass keys list --state revoked"]


def test_a_raw_key_raises_the_alarm_before_its_end_and_after_it(server, http, prometheus, open_runbook, await_symptom):
    key = server.create_key()
    raw = {"auth": (key["api_key"], "")}
    assert http.get("/auth/verify", **raw).status_code == 204
    server.command("keys", "update", key["key_id"], "--raw-until", "2020-01-01")
    prometheus.wait(lambda: http.get("/auth/verify", **raw).status_code == 401, "the raw key is still accepted", 5)
    book = open_runbook("raw-keys", server, {EXAMPLE_KEY: key["key_id"]})
    await_symptom(book, server)

    book.run()
    book.await_over()

    assert http.get("/auth/verify", **raw).status_code == 204
