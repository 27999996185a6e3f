"""Trailers behind a chunked body: they are read, limited and dropped (RFC 9110 §6.5.1)."""

import base64

import pytest
from tests.hostile.conftest import exchange, message

CLOSE = b"connection: close"
CHUNKED = b"transfer-encoding: chunked"
FORWARDED = b"X-Forwarded-For: 203.0.113.9"


@pytest.fixture(scope="module")
def fenced(process):
    """The body of an exchange with a key that is accepted from 203.0.113.0/24 alone."""
    return b'{"apiKey":"%b"}' % process.create_key("--allow-ip", "203.0.113.0/24")["api_key"].encode()


def chunks(body, *trailers):
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, b"".join(line + b"\r\n" for line in trailers))


def test_a_trusted_proxy_says_the_address_in_a_header(target, fenced):
    """Else the next test would prove nothing."""
    assert target.talk(exchange(chunks(fenced), FORWARDED, CHUNKED, CLOSE)).statuses == [200]


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-for", b"X-FORWARDED-FOR"])
def test_a_trailer_gives_no_address(target, fenced, name):
    answer = target.talk(exchange(chunks(fenced, name + b": 203.0.113.9"), CHUNKED, CLOSE))

    assert (answer.statuses, b"address_not_allowed" in answer.raw) == ([400], True)


def test_a_trailer_in_a_later_packet_gives_no_address(target, fenced):
    whole = exchange(chunks(fenced, FORWARDED), CHUNKED, CLOSE)
    cuts = [whole.index(b"0\r\nX-F") + at for at in (0, 3, 8, 18, 22)]

    for cut in cuts:
        assert target.talk(whole[:cut], whole[cut:], pause=0.02).statuses == [400]


def test_a_trailer_gives_no_credential(target):
    """The form names a client, the trailer proves it: nobody's tokens."""
    _, _, key_id, _ = target.api_key.split("_")
    basic = base64.b64encode(f"{key_id}:{target.api_key}".encode())
    head = (CHUNKED, CLOSE, b"content-type: application/x-www-form-urlencoded")
    form = b"grant_type=client_credentials"

    trailed = message(b"POST", b"/oauth/token", *head, body=chunks(form, b"authorization: Basic " + basic))
    proven = message(b"POST", b"/oauth/token", b"authorization: Basic " + basic, *head, body=chunks(form))

    assert target.talk(trailed).statuses == [401]
    assert target.talk(proven).statuses == [200]


def test_the_bytes_behind_trailers_are_the_next_request(target):
    first = exchange(chunks(target.exchange_body, b"x-a: b", FORWARDED), CHUNKED)

    assert target.talk(first + message(b"GET", b"/health/live", CLOSE)).statuses == [200, 200]


def test_trailers_have_the_limit_of_headers(target):
    endless = [b"x-a: " + b"a" * 1_000 + b"\r\n"] * 40

    answer = target.talk(exchange(chunks(target.exchange_body)[:-2], CHUNKED), *endless)

    assert (answer.statuses[-1], answer.hung) == (431, False)
