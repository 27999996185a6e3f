"""Answers without a token, and connections that break: nothing good is lost, and the number of requests is known."""

import socket
import struct
import time

import pytest
from tests.client.conftest import setting, settle
from tests.client.scripted_server import KEEPS, http, pair

from hourpass.client.refresh.token_endpoint import TokenEndpoint
from hourpass.client.refresh.transaction import Transient, Unknown
from hourpass.core.errors import Unavailable

PORTAL = b"<html><title>Sign in to the hotel's network</title></html>"


def nothing(connection: socket.socket) -> None:
    """Closes without a word."""


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def chunk(length: int, content: bytes) -> bytes:
    return http(200, b"%x\r\n%b" % (length, content), None, "Transfer-Encoding: chunked")


# A request without a judgement is not sent again at once: the server has read it and answered.
ANSWERED = [
    pytest.param(http(200, PORTAL, "text/html"), "is not a token", id="a captive portal"),
    pytest.param(http(403, PORTAL, "text/html"), "answered 403", id="a portal that forbids"),
    pytest.param(http(511, PORTAL, "text/html"), "answered 511", id="a portal of RFC 6585"),
    pytest.param(http(302, b"", None, "Location: /auth/elsewhere"), "answered 302", id="a redirect to the same origin"),
    pytest.param(http(307, b"", None, "Location: http://127.0.0.1:1/"), "answered 307", id="a redirect elsewhere"),
    pytest.param(http(404, b"{}"), "answered 404", id="no such endpoint"),
    pytest.param(http(413, b"", None, "Retry-After: 7"), "answered 413", id="too large"),
    pytest.param(http(429, b"", None, "Retry-After: 7"), "answered 429", id="too many"),
    pytest.param(http(500, b"oops", "text/plain"), "answered 500", id="a bug of the server's"),
    pytest.param(http(204, b"", None), "answered 204", id="no content"),
    pytest.param(http(200, b""), "is not a token", id="an empty body"),
    pytest.param(http(200, b'"opaque"'), "is not a token", id="a bare string"),
    pytest.param(http(200, pair(2, access_token=...)), "is not a token", id="no access token"),
    pytest.param(http(200, pair(2, access_token="a\r\nX: 1")), "is not a bearer token", id="a token with a line end"),
    pytest.param(http(200, pair(2, refresh_token=7)), "is not a token", id="a refresh token of the wrong type"),
    pytest.param(http(200, pair(2, token_type="DPoP")), "is not a bearer token", id="another token type"),
    pytest.param(http(200, pair(2, expires_in=0)), "is not a bearer token", id="expires_in 0"),
    pytest.param(http(200, pair(2, expires_in=0.099)), "is not a bearer token", id="expires_in too short"),
    pytest.param(http(200, pair(2, expires_in=-1)), "is not a bearer token", id="expires_in negative"),
    pytest.param(http(200, pair(2, expires_in=10**9 + 1)), "is not a bearer token", id="expires_in huge"),
    pytest.param(http(200, pair(2, expires_in="nan")), "is not a bearer token", id="expires_in not a number"),
    pytest.param(http(200, pair(2, expires_in="soon")), "is not a token", id="expires_in a word"),
    pytest.param(http(200, pair(2, expires_in=True)), "is not a token", id="expires_in true"),
    pytest.param(http(200, pair(2, padding="x" * 100 * 1024)), "too long", id="100 KiB"),
    pytest.param(http(400, b" " * 100 * 1024), "too long", id="100 KiB of a refusal"),
    pytest.param(http(200, pair(2), None, "Content-Length: 40"), "is not a token", id="a length that cuts the body"),
    pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + pair(2)[:40], "is not a token", id="no length, and the body cut"),
    pytest.param(http(200, pair(2), None, "Content-Encoding: gzip"), "compresses its answer", id="packed, it says"),
]

# Nobody knows whether the server has rotated: the same token goes out again at once, twice.
BROKEN = [
    pytest.param(nothing, id="closed without an answer"),
    pytest.param(reset, id="reset"),
    pytest.param(http(200, pair(2), None, "Content-Length: 9999"), id="closed in the middle of the body"),
    pytest.param(chunk(9999, pair(2)), id="closed in the middle of a chunk"),
    pytest.param(http(200, pair(2), None, "Content-Length: many"), id="a length that is not a number"),
    pytest.param(http(200, pair(2), None, "Content-Length: 5", "Content-Length: 6"), id="two lengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="no header"),
    pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="another protocol"),
]

TROUBLE = [
    *(pytest.param(*row.values, 1, id=row.id) for row in ANSWERED),
    *(pytest.param(*row.values, "no answer from the token endpoint", 3, id=row.id) for row in BROKEN),
]


@pytest.mark.parametrize(("answer", "why", "sends"), TROUBLE)
def test_trouble_costs_neither_the_good_token_nor_the_refresh_token(other, source_of, clock, answer, why, sends):
    """A stored refresh token is never dropped for a transient failure, and an expired access token is never sent."""
    source = source_of(other)
    source.token()

    clock.now = source.current.soft
    other.script = [answer] * sends
    assert source.token() == "opaque-1", "the refresh runs behind the good token"
    settle(source)
    assert other.bodies[1:] == [{"refreshToken": KEEPS}] * sends

    clock.now = source.current.hard
    other.script = [answer] * sends
    with pytest.raises(Unavailable, match=why) as caught:
        source.token()
    assert other.bodies[1:] == [{"refreshToken": KEEPS}] * sends * 2
    assert caught.value.retry_after == (source.retry_at - clock.now) // 1000

    clock.now = source.retry_at
    assert source.token() == f"opaque-{2 + sends * 2}"
    assert other.bodies[-1] == {"refreshToken": KEEPS}
    assert source.counts["exchanged"] == 1


@pytest.mark.parametrize(("answer", "why", "sends"), TROUBLE)
def test_trouble_at_the_first_exchange_says_why_and_asks_no_more_than_that(other, source_of, answer, why, sends):
    source = source_of(other)
    other.script = [answer] * sends

    with pytest.raises(Unavailable, match=why):
        source.token()

    assert other.bodies == [{"apiKey": "KEY"}] * sends


@pytest.mark.parametrize("broken", BROKEN)
def test_one_broken_answer_is_made_up_for_at_once(other, source_of, broken):
    source = source_of(other)
    source.token()
    other.script = [broken]

    assert source.refresh(rejected=1, retry=False).access_token == "opaque-3"
    assert other.bodies[1:] == [{"refreshToken": KEEPS}] * 2


def test_if_nobody_listens_nothing_is_sent_again(other, source_of):
    other.close()
    source = source_of(other)

    with pytest.raises(Unavailable, match="no connection"):
        source.token()

    assert source.counts["posting"] == 1


def test_a_caller_waits_for_a_slow_answer_no_longer_than_it_said_and_the_answer_comes_all_the_same(other, source_of):
    source = source_of(other)
    other.script = [other.stall]

    with pytest.raises(Unavailable, match="not answered in time"):
        source.token(within=0.05)
    other.released.set()

    assert source.token(within=5) == "opaque-1"
    assert other.paths == ["api-key"]


def test_while_an_answer_is_slow_the_good_token_goes_on(other, source_of, clock):
    source = source_of(other)
    source.token()
    clock.now = source.current.hard - 1
    other.script = [other.stall]

    assert [source.token() for _ in range(3)] == ["opaque-1"] * 3
    other.released.set()
    settle(source)

    assert source.token() == "opaque-2"
    assert other.paths == ["api-key", "refresh"]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        pytest.param(b"", Unknown, id="before the head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", Unknown, id="in the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n{", Transient, id="in a body without a length"),
    ],
)
def test_an_answer_that_stops_is_cut_off_at_the_whole_time(other, head, kind):
    # Long enough for the head to arrive on a machine that is busy with other things.
    endpoint = TokenEndpoint(setting(other.url), total=1.0)

    def begin_and_stop(connection):
        connection.sendall(head)
        other.released.wait(10)

    other.script = [begin_and_stop]
    begun = time.monotonic()
    outcome = endpoint.refresh("token")

    assert isinstance(outcome, kind)
    assert 0.95 < time.monotonic() - begun < 6
