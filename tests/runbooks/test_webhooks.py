"""docs/runbooks/webhooks.md, on a server with a receiver that fails and one that wants no events any more."""

import json

import pytest
from tests.webhooks.receivers import Receiver, accepts, says

EXAMPLE = "wh_5f0c2a9d81b34e67"


@pytest.fixture
def receivers():
    """One that answers 500, and one that answers 410."""
    answers = (b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 410 x\r\ncontent-length: 0\r\n\r\n")
    opened = [Receiver(None, says(answer)) for answer in answers]
    yield opened
    for each in opened:
        each.close()


def made(server, url: str) -> str:
    return json.loads(server.command("webhooks", "create", url, "--json").stdout)["webhook_id"]


def test_a_webhook_that_fails_and_one_that_is_given_up_raise_the_alarm_and_go_on(
    serve, prometheus, receivers, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target(), environment={"HOURPASS_WEBHOOK_ALLOW_PRIVATE": "true"})
    (server.data / "hourpass.toml").write_text("webhook_allow_private = true\n")
    prometheus.await_scraped(server.admin)
    failing, gone = (made(server, each.url()) for each in receivers)
    server.create_key()
    book = open_runbook("webhooks", server, {EXAMPLE: gone})
    await_symptom(book, server)
    listed = server.command("webhooks", "list").stdout

    for each in receivers:
        each.answer = accepts
    book.run()
    server.command("webhooks", "update", failing, "--disable")
    server.command("webhooks", "update", failing, "--enable")
    book.await_over()

    assert "failing since" in listed
    assert "disabled (gone)" in listed
    assert {"key.created", "webhook.disabled"} <= {event["type"] for event in receivers[1].events()}
