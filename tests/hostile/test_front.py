"""The promises of the HTTP front: a strict reading, whole requests, and an end for clients that take too much."""

import contextlib
import socket
import time

import pytest
from tests.hostile.conftest import exchange, message

CLOSE = b"connection: close"
CHUNKED = b"transfer-encoding: chunked"
EXPECT = b"expect: 100-continue"


def get(*headers, path=b"/health/live"):
    return message(b"GET", path, *headers)


HOSTS = {
    "none": b"",
    "two": b"host: x\r\nhost: x\r\n",
    "two different ones": b"host: x\r\nHost: y\r\n",
    "empty": b"host:\r\n",
    "two words": b"host: a b\r\n",
    "a path": b"host: a/b\r\n",
    "a list": b"host: a, b\r\n",
    "a list without a space": b"host: a,b\r\n",
    "a user": b"host: me@a\r\n",
    "a port that is not a number": b"host: a:b\r\n",
    "two ports": b"host: a:1:2\r\n",
    "an open bracket": b"host: [::1\r\n",
    "a fragment": b"host: a#b\r\n",
    "a query": b"host: a?b\r\n",
    "a backslash": b"host: a\\b\r\n",
    "not ASCII": b"host: \xe9\r\n",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_request_has_one_host_and_a_good_one(target, host):
    """RFC 9112 §3.2."""
    answer = target.talk(b"GET /health/live HTTP/1.1\r\n%b\r\n" % host)

    assert (answer.statuses, answer.hung) == ([400], False)


@pytest.mark.parametrize("host", [b"x", b"x:1", b"x:", b"a.b-c_d", b"[::1]:3600", b"[::1]", b"192.0.2.1:80"])
def test_a_good_host_is_taken(target, host):
    assert target.talk(b"GET /health/live HTTP/1.1\r\nhost: %b\r\n%b\r\n\r\n" % (host, CLOSE)).statuses == [200]


ODD = {
    "a fragment": get(path=b"/health/live#a"),
    "a space in the target": get(path=b"/health/live a"),
    "a tab in the target": get(path=b"/health\tlive"),
    "two spaces": b"GET  /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tab for a space": b"GET\t/health/live\tHTTP/1.1\r\nhost: x\r\n\r\n",
    "a space behind the version": b"GET /health/live HTTP/1.1 \r\nhost: x\r\n\r\n",
    "a space before the method": b" GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
    "lines that end with a line feed": b"GET /health/live HTTP/1.1\nhost: x\n\n",
    "one line that ends with a line feed": b"GET /health/live HTTP/1.1\r\nhost: x\nx-a: b\r\n\r\n",
    "a line feed ends the block": b"GET /health/live HTTP/1.1\r\nhost: x\r\n\n",
    "a carriage return alone": get(b"x-a: b\rc"),
    "two carriage returns": b"GET /health/live HTTP/1.1\r\r\nhost: x\r\n\r\n",
    "two empty lines before": b"\r\n\r\n" + get(),
    "a folded header": get(b"x-a: b\r\n\tc"),
    "a folded first header": b"GET /health/live HTTP/1.1\r\n host: x\r\n\r\n",
    "an empty header name": get(b": a"),
    "a header name with a space": get(b"x a: b"),
    "a tab before the colon": get(b"x-a\t: b"),
    "a header name that is not ASCII": get(b"x-\xe9: b"),
    "a delete character": get(b"x-a: \x7f"),
    "a bell": get(b"x-a: \x07"),
    "a lower-case version": b"GET /health/live http/1.1\r\nhost: x\r\n\r\n",
    "version 1.2": b"GET /health/live HTTP/1.2\r\nhost: x\r\n\r\n",
    "version 2.0": b"GET /health/live HTTP/2.0\r\nhost: x\r\n\r\n",
    "version 1.10": b"GET /health/live HTTP/1.10\r\nhost: x\r\n\r\n",
    "a target without a slash": get(path=b"health/live"),
    "an absolute target of another scheme": get(path=b"ftp://x/health/live"),
    "an absolute target with a user": get(path=b"http://me@x/health/live"),
    "an absolute target without a host": get(path=b"http:///health/live"),
    "a host and port as the target": get(path=b"x:80"),
    "a length and chunks": exchange(b"0\r\n\r\n", CHUNKED, b"content-length: 5"),
    "chunks and a length": exchange(b"0\r\n\r\n", b"content-length: 5", CHUNKED),
    "one length twice": exchange(b"{}", b"content-length: 2", b"content-length: 2"),
    "a list of one length": exchange(b"{}", b"content-length: 2, 2"),
    "an empty length": exchange(b"{}", b"content-length:"),
    "a hexadecimal length": exchange(b"{}", b"content-length: 0x2"),
    "a length with an underscore": exchange(b"{}", b"content-length: 0_2"),
    "a length in other digits": exchange(b"{}", "content-length: ２".encode()),
    "chunked twice": exchange(b"0\r\n\r\n", CHUNKED, CHUNKED),
    "chunked in a list": exchange(b"0\r\n\r\n", b"transfer-encoding: chunked, chunked"),
    "identity": exchange(b"", b"transfer-encoding: identity"),
    "an empty coding": exchange(b"", b"transfer-encoding:"),
    "chunked with a parameter": exchange(b"0\r\n\r\n", b"transfer-encoding: chunked;q=1"),
    "chunked with a vertical tab": exchange(b"0\r\n\r\n", b"transfer-encoding: \x0bchunked"),
    "chunks over HTTP/1.0": b"POST /auth/api-key HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size with a sign": exchange(b"+2\r\n{}\r\n0\r\n\r\n", CHUNKED),
    "a chunk size with a prefix": exchange(b"0x2\r\n{}\r\n0\r\n\r\n", CHUNKED),
    "an empty chunk size": exchange(b"\r\n{}\r\n0\r\n\r\n", CHUNKED),
    "a chunk size with a space before": exchange(b" 2\r\n{}\r\n0\r\n\r\n", CHUNKED),
    "a chunk size that ends with a line feed": exchange(b"2\n{}\r\n0\r\n\r\n", CHUNKED),
    "a chunk that ends with a line feed": exchange(b"2\r\n{}\n0\r\n\r\n", CHUNKED),
    "a chunk extension with a line feed": exchange(b"2;a\nb\r\n{}\r\n0\r\n\r\n", CHUNKED),
    "a chunk extension without end": exchange(b"2;" + b"a" * 300, CHUNKED),
    "a chunk size of nine digits": exchange(b"000000002\r\n{}\r\n0\r\n\r\n", CHUNKED),
    "a folded trailer": exchange(b"0\r\nx-a: b\r\n c\r\n\r\n", CHUNKED),
    "a trailer without a colon": exchange(b"0\r\nx-a\r\n\r\n", CHUNKED),
    "a trailer with a control character": exchange(b"0\r\nx-a: \x00\r\n\r\n", CHUNKED),
    "trailers that end with line feeds": exchange(b"0\r\n\n", CHUNKED),
}


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_a_request_that_a_proxy_might_read_in_another_way_is_refused(target, raw):
    """RFC 9112 §11.2. One answer, at once, and nothing behind it is read."""
    answer = target.talk(raw + get(path=b"/smuggled"))

    assert (answer.statuses, answer.hung) == ([400], False)
    assert answer.seconds < 0.9  # not by the time-out


GOOD = {
    "one empty line before": (b"\r\n" + get(CLOSE), [200]),
    "an absolute target": (get(CLOSE, path=b"http://other:8080/health/live?a"), [200]),
    "an absolute target in capitals": (get(CLOSE, path=b"HTTPS://other/health/live"), [200]),
    "an absolute target without a path": (get(CLOSE, path=b"http://other"), [404]),
    "spaces around a value": (get(b"connection: \t close \t"), [200]),
    "no space behind a colon": (get(b"connection:close"), [200]),
    "close in a list": (get(b"connection: a, Close"), [200]),
    "bytes beyond ASCII in a value": (get(CLOSE, b"x-a: \xe9\xff"), [200]),
    "an unknown method": (message(b"BREW", b"/health/live", CLOSE), [405]),
    "a chunk extension": (exchange(b"2;a=b\r\n{}\r\n0;c\r\n\r\n", CHUNKED, CLOSE), [400]),
    "chunked in capitals": (exchange(b"2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: CHUNKED", CLOSE), [400]),
    "a length of zero": (exchange(b"", b"content-length: 0", CLOSE), [400]),
    "HTTP/1.0 without a host": (b"GET /health/live HTTP/1.0\r\n\r\n", [200]),
    "HTTP/1.0 is not kept": (b"GET /health/live HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + get(CLOSE), [200]),
}


@pytest.mark.parametrize(("raw", "statuses"), GOOD.values(), ids=GOOD)
def test_an_unusual_but_plain_request_is_answered(target, raw, statuses):
    answer = target.talk(raw)

    assert (answer.statuses, answer.hung) == (statuses, False)


def test_a_request_cut_anywhere_gets_the_same_answer(target):
    body = target.exchange_body
    requests = [
        exchange(body, b"content-length: %d" % len(body), b"connection: upgrade", b"upgrade: h2c"),
        exchange(b"5\r\n%b\r\n%x\r\n%b\r\n0\r\nx-a: b\r\n\r\n" % (body[:5], len(body) - 5, body[5:]), CHUNKED),
        get(b"content-length: 3") + b"abc",
        b"\r\n" + get(),
    ]
    for request, status in zip(requests, (200, 200, 200, 200), strict=True):
        for cut in range(1, len(request)):
            with target.connect() as connection:
                connection.sendall(request[:cut])
                time.sleep(0.0005)
                connection.sendall(request[cut:] + get(CLOSE, path=b"/nowhere"))
                raw = b""
                while chunk := connection.recv(65_536):
                    raw += chunk
            assert raw.startswith(b"HTTP/1.1 %d " % status), request[:cut]
            assert raw.count(b"HTTP/1.1 ") == 2
            assert b"HTTP/1.1 404 " in raw


def test_a_broken_request_cut_anywhere_is_refused(target):
    for request in (ODD["a folded header"], ODD["a length and chunks"], ODD["lines that end with a line feed"]):
        for cut in range(1, len(request), 3):
            answer = target.talk(request[:cut], request[cut:], pause=0.0005)
            assert answer.statuses == [400], request[:cut]


def test_a_get_is_answered_after_its_body(target):
    """Else the body would eat the request that follows, which may be another caller's."""
    body = get(path=b"/smuggled")

    answer = target.talk(
        message(b"GET", b"/auth/verify", b"content-length: %d" % len(body)), body, get(CLOSE), pause=0.05
    )

    assert answer.statuses == [401, 200]


def test_a_get_whose_body_does_not_come_is_given_up(target):
    answer = target.talk(message(b"GET", b"/auth/verify", b"content-length: 77"))

    assert (answer.statuses, answer.hung) == ([408], False)


@pytest.mark.parametrize("length", [8_193, 999_999_999, 10**17])
def test_a_body_that_is_too_large_is_refused_before_it_comes(target, length):
    """RFC 9110 §10.1.1: instead of 100 Continue, and the connection ends."""
    answer = target.talk(exchange(b"", b"content-length: %d" % length, EXPECT))

    assert (answer.statuses, answer.hung) == ([413], False)
    assert b"connection: close\r\n" in answer.raw
    assert answer.seconds < 0.9


def test_a_form_may_be_twice_as_large(target):
    def form(length):
        return message(b"POST", b"/oauth/token", b"content-length: %d" % length, CLOSE, body=b"a" * length)

    assert target.talk(form(16_384)).statuses == [400]
    assert target.talk(form(16_385)).statuses == [413]


def test_a_client_that_still_sends_gets_to_read_the_refusal(target):
    """RFC 9112 §9.6: a connection that is closed at once may take the refusal with it."""
    for _ in range(10):
        with target.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(exchange(b"a" * 100_000, b"content-length: 100000"))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_waits_for_100_and_is_within_the_limit_is_told_to_go_on(target):
    body = target.exchange_body
    for head, rest in (
        (exchange(b"", b"content-length: %d" % len(body), EXPECT, CLOSE), body),
        (exchange(b"", CHUNKED, EXPECT, CLOSE), b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)),
    ):
        with target.connect() as connection:
            connection.sendall(head)
            assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(rest)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_endless_trailers_in_one_line_are_refused_at_the_limit(target):
    answer = target.talk(exchange(b"0\r\nx-a: ", CHUNKED), *[b"a" * 4_000] * 10)

    assert (answer.statuses, answer.hung) == ([431], False)


def test_an_answer_has_a_date(target):
    """RFC 9110 §6.6.1."""
    assert b"\r\ndate: " in target.talk(get(CLOSE)).raw


def test_a_client_that_closes_its_half_gets_the_answer_to_what_it_sent(target):
    answer = target.talk(
        exchange(target.exchange_body, b"content-length: %d" % len(target.exchange_body)), half_close=True
    )

    assert answer.statuses == [200]


def test_an_answer_that_is_not_read_is_given_up(target):
    """Ten seconds after the client stopped reading, however much it has sent."""
    with target.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        began = time.monotonic()
        many = get(path=b"/openapi.json") * 200
        while time.monotonic() - began < 30:
            try:
                connection.send(many)
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                break

    assert 8 < time.monotonic() - began < 25


def test_a_client_that_sends_everything_at_once_gets_its_answer_every_time(target):
    """The end of what it sends may be read before the request is carried out. The connection must not stay open."""
    asked = exchange(target.exchange_body, b"content-length: %d" % len(target.exchange_body))

    for _ in range(50):
        answer = target.talk(asked, half_close=True)
        assert (answer.statuses, answer.hung) == ([200], False)


def test_many_short_headers_trailers_and_chunks_are_too_many(target):
    """Each costs time, however little of the size limits it takes."""
    headers = [b"a:"] * 300
    body = b"{}".ljust(2_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"

    assert target.talk(get(*headers)).statuses == [431]
    assert target.talk(exchange(b"0\r\n" + b"a:\r\n" * 300 + b"\r\n", CHUNKED)).statuses == [431]
    assert target.talk(exchange(chunks, CHUNKED)).statuses == [413]


def test_a_long_encoded_path_is_not_decoded(target):
    assert target.talk(get(CLOSE, path=b"/" + b"%61" * 5_000)).statuses == [404]
