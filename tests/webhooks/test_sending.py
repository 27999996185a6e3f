"""One attempt, against endpoints that are honest, slow, dead or lying. It goes to an address that was judged."""

import asyncio
import socket
import ssl
import time

import pytest
from tests.webhooks.receivers import OK, drips, hangs_up, is_slow, never_ends, says

from hourpass.server.webhooks import sending
from hourpass.server.webhooks.sending import Outgoing, Sender

BODY = Outgoing(b'{"type":"key.created"}', {"webhook-id": "evt_1"})


def send(url, tls, *, look_up=None, allow_private=True, times=1, patience=None):
    async def attempts():
        more = {} if patience is None else {"patience": patience}
        sender = Sender(
            url, tls, allow_private=allow_private, look_up=look_up or (lambda host, port: ["127.0.0.1"]), **more
        )
        try:
            return [await sender.send(BODY) for _ in range(times)]
        finally:
            await sender.close()

    results = asyncio.run(attempts())
    return results[0] if times == 1 else results


def test_an_event_arrives_with_its_headers_under_the_name_of_the_url(receive, tls):
    receiver = receive()
    attempt = send(receiver.url("hooks.example.com", "/a?b=c"), tls)

    assert attempt[:2] == ("delivered", 204)
    (received,) = receiver.received
    assert received.line == "POST /a?b=c HTTP/1.1"
    assert received.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == "evt_1"
    assert received.body == BODY.body
    assert receiver.names == ["hooks.example.com"]


def test_events_in_a_row_share_a_connection(receive, tls):
    receiver = receive()
    assert [each.result for each in send(receiver.url(), tls, times=3)] == ["delivered"] * 3
    assert (receiver.connections, len(receiver.received)) == (1, 3)


def test_a_certificate_must_be_for_the_name_and_of_an_authority_that_is_trusted(receive, tls):
    receiver = receive()
    assert send(receiver.url("evil.example.com"), tls)[:2] == ("tls", None)
    assert send(receiver.url("hooks.example.com"), ssl.create_default_context())[:2] == ("tls", None)
    assert receiver.received == []


def test_a_name_that_leads_to_a_private_address_now_is_not_connected_to(receive, tls):
    """It was public when the webhook was made (DNS rebinding)."""
    receiver = receive()
    url = receiver.url("hooks.example.com")

    for addresses in (["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:127.0.0.1"], ["localhost"]):
        attempt = send(url, tls, allow_private=False, look_up=lambda host, port, found=addresses: found)
        assert attempt[:2] == ("private_address", None)
    assert receiver.connections == 0


def test_a_name_is_looked_up_once_for_an_attempt_and_each_time(receive, tls):
    """What is judged is what is connected to: there is no second look-up."""
    receiver, asked = receive(), []

    def look_up(host, port):
        asked.append((host, port))
        return ["127.0.0.1"]

    send(receiver.url("hooks.example.com"), tls, look_up=look_up, times=2)
    assert asked == [("hooks.example.com", receiver.port)] * 2


def test_plain_http_and_private_addresses_are_not_sent_to_after_the_setting_was_taken_back(receive, tls):
    receiver = receive(certificate=None)
    assert send(receiver.url(), tls, allow_private=False).result == "private_address"
    assert send(receiver.url(), tls).result == "delivered"


def test_another_address_of_the_host_is_tried_if_one_is_dead(receive, tls):
    receiver = receive()
    attempt = send(receiver.url("hooks.example.com"), tls, look_up=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert attempt.result == "delivered"


@pytest.mark.parametrize(
    ("answer", "result", "status"),
    [
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), "delivered", 200),
        (says(b"HTTP/1.1 299 Fine\r\n\r\n"), "delivered", 299),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), "delivered", 204),
        (never_ends, "delivered", 200),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-encoding: gzip\r\n\r\nnot gzip!"), "delivered", 200),
        (says(b"HTTP/1.1 500 No\r\n\r\n"), "status", 500),
        (says(b"HTTP/1.1 404 No\r\n\r\n"), "status", 404),
        (says(b"HTTP/1.1 410 Gone\r\n\r\n"), "gone", 410),
        (hangs_up, "broken", None),
        (says(b"hello\r\n\r\n"), "broken", None),
        (says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000), "broken", None),
        (says(b"\x15\x03\x01"), "broken", None),
    ],
    ids=[
        "200",
        "299",
        "100-first",
        "endless",
        "not-gzip",
        "500",
        "404",
        "410",
        "hangs-up",
        "not-http",
        "headers",
        "bytes",
    ],
)
def test_an_answer_is_its_status_and_nothing_else(receive, tls, answer, result, status):
    assert send(receive(answer).url(), tls)[:2] == (result, status)


def test_a_redirect_is_a_failure_and_is_not_followed(receive, tls):
    inside = receive(certificate=None)
    moved = says(f"HTTP/1.1 307 Moved\r\nlocation: {inside.url()}\r\n\r\n".encode())

    assert send(receive(moved).url(), tls)[:2] == ("status", 307)
    assert inside.connections == 0


def test_no_cookie_is_kept(receive, tls):
    receiver = receive(says(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"))
    send(receiver.url(), tls, times=2)
    assert "cookie" not in receiver.received[1].headers


def test_no_proxy_of_the_environment_is_asked(receive, tls, monkeypatch):
    proxy, receiver = receive(certificate=None), receive()
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url())

    assert send(receiver.url(), tls).result == "delivered"
    assert proxy.connections == 0


@pytest.mark.parametrize("answer", [is_slow(9), drips], ids=["slow", "drips"])
def test_an_endpoint_that_does_not_answer_in_time_has_failed(receive, tls, answer):
    began = time.monotonic()
    assert send(receive(answer).url(), tls, patience=0.3)[:2] == ("timeout", None)
    assert time.monotonic() - began < 3


def test_a_resolver_that_does_not_answer_in_time_is_an_attempt_that_failed(tls):
    def slow(host, port):
        time.sleep(1)
        return ["127.0.0.1"]

    assert send("https://slow.example/", tls, look_up=slow, patience=0.1)[:2] == ("timeout", None)


def test_an_endpoint_that_nobody_listens_at_is_unreachable_and_a_name_without_address_is_unknown(tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    def unknown(host, port):
        raise OSError("no such host")

    assert send(f"https://127.0.0.1:{port}/", tls)[:2] == ("unreachable", None)
    assert send("https://nowhere.example/", tls, look_up=unknown)[:2] == ("unknown_host", None)
    assert send("https://nowhere.example/", tls, look_up=lambda host, port: [])[:2] == ("unknown_host", None)


def test_the_time_out_is_the_one_of_the_rule():
    assert sending.PATIENCE == 10
