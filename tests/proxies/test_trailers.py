"""A trailer is never a header (RFC 9110 §6.5.1), so none passes: many an API takes it for one."""

import pytest
from tests.proxies.wire import talk

TRAILERS = (
    b"Hourpass-Subject: forged\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer forged\r\nX-Other: forged\r\n"
)


def head(path, key, *lines):
    fixed = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key.access_token}"]
    return "\r\n".join([*fixed, "Transfer-Encoding: chunked", "Connection: close", *lines, "", ""]).encode()


@pytest.mark.parametrize("announced", [[], ["Trailer: Hourpass-Subject, X-Other"]], ids=["unannounced", "announced"])
@pytest.mark.parametrize(
    "body",
    [
        [b"3\r\nabc\r\n0\r\n" + TRAILERS + b"\r\n"],
        [b"3\r\nabc\r\n", b"0\r\n" + TRAILERS + b"\r\n"],
        [b"3\r\nabc\r\n0\r\n" + TRAILERS[:20], TRAILERS[20:], b"\r\n"],
        [b"0\r\n" + TRAILERS + b"\r\n"],
    ],
    ids=["at once", "later", "in pieces", "after nothing"],
)
def test_the_api_receives_the_body_without_its_trailers(body, announced, proxy, reader):
    answers = talk(proxy, head("/anything", reader, *announced), *body)

    assert answers.statuses == [200]
    assert b'"trailers": []' in answers.raw
    assert b'"length": 3' in answers.raw or b"abc" not in body[0]
    assert b"forged" not in answers.raw


def test_no_trailer_passes_after_a_long_body_either(proxy, reader, api_received):
    """HAProxy cuts such a request off, for it has passed the body on by then."""
    answers = talk(
        proxy, head("/anything", reader), b"%x\r\n%b\r\n" % (300_000, b"a" * 300_000), b"0\r\n" + TRAILERS + b"\r\n"
    )

    assert answers.statuses == [400 if proxy.name == "haproxy" else 200]
    assert all(request["trailers"] == [] for request in api_received())


def test_a_trailer_does_not_say_who_exchanges(proxy, listed):
    """The address of an allow-list is the one that the proxy saw."""
    key, allowed = listed
    body = b'{"apiKey":"%b"}' % key.encode()
    lines = b"POST /auth/api-key HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answers = talk(proxy, lines, b"%x\r\n%b\r\n0\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n" % (len(body), body))

    assert answers.statuses == [200 if allowed else 400]
