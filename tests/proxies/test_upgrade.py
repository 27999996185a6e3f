"""An upgrade passes only as a WebSocket's, which has no body: an API could take the body for another request."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.proxies.wire import talk

WORDS = [b"h2c", b"websocket", b"WebSocket", b"anything", b"h2c, websocket"]

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMINGS = {
    "length": (b"Content-Length: %d" % len(HIDDEN), HIDDEN),
    "chunked": (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
}


def upgrade(method, path, word, framing, *lines):
    fixed = (b"%b %b HTTP/1.1" % (method, path), b"Host: 127.0.0.1", b"Connection: Upgrade", b"Upgrade: " + word)
    websocket = (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    return b"\r\n".join((*fixed, *websocket, framing, *lines, b"", b""))


@pytest.mark.parametrize("framing", FRAMINGS)
def test_no_upgrade_with_a_body_reaches_the_api(framing, proxy, reader, api_received):
    line, body = FRAMINGS[framing]
    credential = b"Authorization: Bearer " + reader.access_token.encode()
    with ThreadPoolExecutor(len(WORDS) * 2) as clients:
        for method in (b"POST", b"GET"):
            for word in WORDS:
                clients.submit(talk, proxy, upgrade(method, b"/anything", word, line, credential), body, patience=0.5)

    for request in api_received():
        assert request["path"] == "/anything"
        assert not [value for name, value in request["headers"] if name.lower() == "upgrade"]
        assert request["length"] == len(HIDDEN)


def test_a_client_that_offers_http_2_by_upgrade_is_answered(proxy, reader):
    """The HttpClient of Java offers `h2c` with every first request, bodies included."""
    body = b'{"apiKey":"%b"}' % reader.api_key.encode()
    offer = (b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", b"Content-Length: %d" % len(body))
    answers = talk(proxy, upgrade(b"POST", b"/auth/api-key", b"h2c", *offer), body, patience=0.3)

    assert answers.statuses == [200]
    assert b"access_token" in answers.raw
