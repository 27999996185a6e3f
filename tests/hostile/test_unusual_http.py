"""HTTP that is unusual but good: it is answered as any other."""

import json

import pytest
from tests.hostile.conftest import exchange, message

CLOSE = b"connection: close"


def answered(answer):
    """The status and JSON body of a single answer on a connection that was closed."""
    assert not answer.hung
    assert len(answer.statuses) == 1
    return answer.statuses[0], json.loads(answer.body or b"null")


def test_http_1_0_is_answered_and_closed(target):
    body = target.exchange_body

    status, pair = answered(
        target.talk(b"POST /auth/api-key HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    )

    assert (status, pair["token_type"]) == (200, "Bearer")


def test_an_absolute_target_is_read_by_its_path(target):
    """RFC 9112 §3.2.2. Its host is believed as little as the Host header (contract.md, "Discovery")."""
    path = b"http://evil.test/.well-known/oauth-authorization-server"

    status, metadata = answered(target.talk(message(b"GET", path, CLOSE)))

    assert (status, metadata["issuer"]) == (200, target.url)


@pytest.mark.parametrize("path", [b"/%61uth/verify", b"/auth/%76erify", b"/auth%2Fverify"])
def test_a_percent_encoded_path_is_the_path_that_it_encodes(target, path):
    """RFC 3986 §2.3: so a proxy that compares decoded paths guards the same routes that we serve."""
    assert target.talk(message(b"GET", path, CLOSE)).statuses == [401]


def test_pipelined_requests_are_answered_in_order(target):
    """RFC 9112 §9.3.2."""
    first = exchange(target.exchange_body, b"content-length: %d" % len(target.exchange_body))

    answer = target.talk(first + message(b"GET", b"/nowhere") + message(b"GET", b"/health/live", CLOSE))

    assert (answer.statuses, answer.hung) == ([200, 404, 200], False)


def test_many_requests_on_one_connection_are_all_answered(target):
    answer = target.talk(message(b"GET", b"/auth/verify") * 50 + message(b"GET", b"/auth/verify", CLOSE))

    assert answer.statuses == [401] * 51


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_chunked_body_is_read_in_any_pieces(target, size):
    body = target.exchange_body
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    answer = target.talk(exchange(chunks, b"transfer-encoding: chunked", CLOSE))

    assert answer.statuses == [200]


def test_a_body_that_trickles_in_time_is_read(target):
    body = target.exchange_body
    pieces = [body[:10], body[10:20], body[20:]]

    answer = target.talk(exchange(b"", b"content-length: %d" % len(body), CLOSE), *pieces, pause=0.2)

    assert answer.statuses == [200]


def test_a_client_that_waits_for_100_continue_gets_it(target):
    """RFC 9110 §10.1.1."""
    body = target.exchange_body
    head = exchange(b"", b"content-length: %d" % len(body), b"expect: 100-continue", CLOSE)

    assert target.talk(head, body, pause=0.2).statuses == [100, 200]


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"TLS/1.0"])
def test_an_upgrade_is_declined_by_answering_the_request(target, protocol):
    """RFC 9110 §7.8: a server may ignore it."""
    headers = (b"connection: upgrade", b"upgrade: " + protocol, b"sec-websocket-version: 13")

    answer = target.talk(message(b"GET", b"/auth/verify", *headers, b"sec-websocket-key: eA=="), patience=0.5)

    assert answer.statuses == [401]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"anything"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("pause", [None, 0, 0.05], ids=["one packet", "two packets", "a pause"])
def test_a_body_behind_an_upgrade_is_the_body_and_no_request(target, protocol, framing, pause):
    """RFC 9110 §7.8: an upgrade that is not made leaves the request as it was. Else a body would be a request."""
    hidden = message(b"GET", b"/smuggled") + target.exchange_body
    body, line = hidden, b"content-length: %d" % len(hidden)
    if framing == "chunks":
        body, line = b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden), b"transfer-encoding: chunked"
    head = exchange(b"", b"connection: Upgrade, HTTP2-Settings", b"upgrade: " + protocol, b"http2-settings: AAA", line)
    parts = [head + body] if pause is None else [head, body]

    answer = target.talk(*parts, message(b"GET", b"/health/live", CLOSE), pause=pause or 0)

    assert (answer.statuses, answer.hung) == ([400, 200], False)


def test_a_good_body_behind_an_upgrade_is_read(target):
    """Java's HttpClient and `curl --http2` ask for h2c with every request."""
    body = target.exchange_body
    upgrade = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAEAAEAAAAIAAAAB")

    answer = target.talk(
        exchange(body, *upgrade, b"content-length: %d" % len(body)) + message(b"GET", b"/health/live", CLOSE)
    )

    assert answer.statuses == [200, 200]


def test_an_upgrade_writes_no_advice_into_the_operators_log(target):
    before = len(target.log.read_bytes())

    target.talk(message(b"GET", b"/health/live", b"connection: upgrade", b"upgrade: websocket"), patience=0.3)

    assert b"WebSocket" not in target.log.read_bytes()[before:]


@pytest.mark.parametrize(
    ("path", "status"), [(b"/health/live", 200), (b"/nowhere", 404), (b"/auth/verify", 401), (b"/auth/api-key", 405)]
)
def test_head_is_answered_without_a_body(target, path, status):
    """RFC 9110 §9.3.2: else the next answer on the connection starts in the middle of this one."""
    answer = target.talk(message(b"HEAD", path) + message(b"GET", b"/health/live", CLOSE))

    assert answer.statuses == [status, 200]
    assert answer.raw.count(b"{") == 1


@pytest.mark.parametrize("host", [b"host: evil.test", b"host:", b"host: x\r\nhost: y"])
def test_the_host_header_never_reaches_the_answer(target, host):
    raw = b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\n%b\r\nconnection: close\r\n\r\n" % host

    answer = target.talk(raw)

    assert answer.statuses in ([200], [400])
    assert b"evil.test" not in answer.raw
