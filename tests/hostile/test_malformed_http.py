"""HTTP that breaks HTTP's rules: a 4xx or a closed connection, never a 5xx, a hang, or an echo."""

import json

import pytest
from tests.hostile.conftest import exchange, message

CLOSE = b"connection: close"
CHUNKED = b"transfer-encoding: chunked"


def get(*headers, path=b"/health/live"):
    return message(b"GET", path, *headers)


# name -> (the bytes to send, given the body of a good exchange, and the statuses that are right)
REFUSED = {
    "a TLS greeting": (lambda body: b"\x16\x03\x01\x02\x00\x01\x00" + body + b"\r\n\r\n", {400}),
    "one word": (lambda body: body + b"\r\n\r\n", {400}),
    "no version": (lambda body: b"GET /" + body[11:-2] + b"\r\n\r\n", {400, 404}),
    "a version of the future": (lambda body: b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", {400}),
    "a method with an at sign": (lambda body: b"G@T / HTTP/1.1\r\nhost: x\r\n\r\n", {400}),
    "a space before the colon": (lambda body: get(b"x-a : b"), {400}),
    "a folded header": (lambda body: get(b"x-a: b\r\n c"), {400}),
    "a header without a colon": (lambda body: get(body), {400}),
    "a nul in a header": (lambda body: get(b"x-a: \x00" + body), {400}),
    "a nul in the path": (lambda body: get(path=b"/\x00" + body), {400}),
    "a bare carriage return in a header": (lambda body: get(b"x-a: b\rc: d"), {400}),
    "a chunk size that is none": (lambda body: exchange(b"zz\r\n" + body + b"\r\n0\r\n\r\n", CHUNKED), {400}),
    "a negative chunk size": (lambda body: exchange(b"-5\r\n" + body + b"\r\n0\r\n\r\n", CHUNKED), {400}),
    "a chunk size of 72 bits": (lambda body: exchange(b"f" * 18 + b"\r\n" + body + b"\r\n0\r\n\r\n", CHUNKED), {400}),
    "a chunk longer than it says": (lambda body: exchange(b"5\r\n" + body + b"\r\n0\r\n\r\n", CHUNKED), {400}),
    "an unknown transfer coding": (lambda body: exchange(body, b"transfer-encoding: gzip"), {400, 501}),
    "chunked, but not last": (lambda body: exchange(b"0\r\n\r\n", b"transfer-encoding: chunked, gzip"), {400}),
    "two lengths": (lambda body: exchange(body, b"content-length: %d" % len(body), b"content-length: 3"), {400}),
    "a list of lengths": (lambda body: exchange(body, b"content-length: %d, 3" % len(body)), {400}),
    "a negative length": (lambda body: exchange(body, b"content-length: -1"), {400}),
    "a length with a sign": (lambda body: exchange(body, b"content-length: +%d" % len(body)), {400}),
    "a length in words": (lambda body: exchange(body, b"content-length: long"), {400}),
    "a length of 76 bits": (lambda body: exchange(body, b"content-length: 99999999999999999999999"), {400}),
    "no length, so no body": (lambda body: exchange(body, CLOSE), {400}),
    "a header of 17 KiB": (lambda body: get(b"x-a: " + b"a" * 17_408), {431}),
    "160 headers of 110 bytes": (lambda body: get(*(b"x-%03d: %b" % (n, b"a" * 100) for n in range(160))), {431}),
    "a path of 17 KiB": (lambda body: get(path=b"/" + b"a" * 17_408), {414, 431}),
    "a path in Latin-1": (lambda body: get(CLOSE, path="/é".encode("latin-1")), {400}),
    "a path in UTF-8": (lambda body: get(CLOSE, path="/é".encode()), {400, 404}),
    "CONNECT": (lambda body: b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n", {400, 404, 405}),
    "an asterisk": (lambda body: message(b"OPTIONS", b"*", CLOSE), {400, 404}),
    "a percent sign alone": (lambda body: get(CLOSE, path=b"/auth/%zz"), {400, 404}),
    "a percent-encoded nul": (lambda body: get(CLOSE, path=b"/auth/verify%00"), {400, 404}),
    "a percent-encoded byte that is not UTF-8": (lambda body: get(CLOSE, path=b"/auth/%ff"), {400, 404}),
    "dots that climb": (lambda body: get(CLOSE, path=b"/x/../auth/verify"), {400, 404}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_request_is_a_4xx(target, name):
    make, right = REFUSED[name]

    answer = target.talk(make(target.exchange_body))

    assert not answer.hung
    assert len(answer.statuses) == 1
    assert set(answer.statuses) <= right
    assert target.tells(answer.raw) == []


@pytest.mark.parametrize("name", ["one word", "a nul in a header", "two lengths", "a header of 17 KiB"])
def test_a_broken_request_is_answered_with_a_problem(target, name):
    """contract.md, "Errors": always an object, gateway errors too."""
    answer = target.talk(REFUSED[name][0](target.exchange_body))

    assert b"content-type: application/problem+json\r\n" in answer.raw
    assert json.loads(answer.body).keys() == {"type", "title", "name", "status"}


def test_a_header_block_of_almost_16_kib_is_read(target):
    """contract.md, "Limits"."""
    assert target.talk(get(b"x-a: " + b"a" * 16_000, CLOSE)).statuses == [200]


def test_a_header_block_that_grows_without_end_is_cut_off(target):
    lines = [b"x-a: " + b"a" * 1_000 + b"\r\n"] * 40

    answer = target.talk(b"GET /health/live HTTP/1.1\r\nhost: x\r\n", *lines)

    assert (answer.statuses, answer.hung) == ([431], False)


def test_a_chunk_that_breaks_later_is_a_4xx(target):
    answer = target.talk(exchange(b'2\r\n{"\r\n', CHUNKED), b"zz\r\n", pause=0.1)

    assert (answer.statuses, answer.hung) == ([400], False)


def test_length_and_chunks_together_end_the_connection(target):
    """RFC 9112 §6.1: refused, or read as chunks. The connection is closed either way, so nothing is smuggled."""
    body = target.exchange_body
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    answer = target.talk(exchange(chunks, CHUNKED, b"content-length: 4") + get(path=b"/smuggled"))

    assert not answer.hung
    assert answer.statuses in ([400], [200])


def test_bytes_beyond_the_length_of_the_body_are_not_part_of_the_request(target):
    """The bytes beyond the length are the next request, and a broken one."""
    body = target.exchange_body

    answer = target.talk(exchange(body + body, b"content-length: %d" % len(body)))

    assert not answer.hung
    assert answer.statuses in ([400], [200], [200, 400])
    assert target.api_key.encode() not in answer.raw


def test_a_larger_body_is_413_before_it_has_arrived_whole(target):
    """contract.md, "Limits": nobody waits for a declared gigabyte."""
    answer = target.talk(exchange(b" " * 70_000, b"content-length: 1000000000", CLOSE))

    assert (answer.statuses, answer.hung) == ([413], False)


def test_a_larger_body_in_chunks_is_413(target):
    answer = target.talk(exchange(b"", CHUNKED, CLOSE), *[b"2710\r\n" + b" " * 10_000 + b"\r\n"] * 8)

    assert (answer.statuses, answer.hung) == ([413], False)


def test_a_client_that_resets_midway_harms_nobody(target):
    for _ in range(20):
        target.talk(exchange(target.exchange_body[:9], b"content-length: 80"), patience=0.001)


HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def test_http_2_is_not_spoken(target):
    """It would bring limits of its own: headers up to 16 MiB, no time-out."""
    answer = target.talk(HTTP_2)

    assert not answer.hung
    assert answer.statuses in ([400], [])
    assert b"\x00" not in answer.raw
