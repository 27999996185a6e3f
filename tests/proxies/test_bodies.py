"""Bodies go to the API, whole, and never to hourpass."""

import hashlib
import os
import socket

import pytest
from tests.proxies.proxies import ALL

LONG = os.urandom(3_000_000)
"""More than nginx lets pass by default, and than any proxy holds in one buffer."""


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_long_body_arrives_whole(framing, proxy, reader):
    content = LONG if framing == "content-length" else (LONG[at : at + 65_536] for at in range(0, len(LONG), 65_536))
    answer = proxy.client.post("/videos", headers=reader.bearer, content=content)

    assert answer.status_code == 200
    assert answer.json()["length"] == len(LONG)
    assert answer.json()["sha256"] == hashlib.sha256(LONG).hexdigest()


@pytest.mark.parametrize("kind", ALL.values(), ids=ALL)
def test_hourpass_is_sent_the_credential_and_no_body(kind, start, tap, reader):
    secret = b"the-body-is-for-the-api-alone" * 100
    proxy = start(kind, tap.port)
    try:
        for content in (secret, iter([secret, secret])):
            answer = proxy.client.post("/videos", headers=reader.bearer, content=content)
            assert answer.status_code == 200
            assert answer.json()["length"] in (len(secret), 2 * len(secret))
    finally:
        proxy.stop()

    assert tap.sent.count(reader.access_token.encode()) == 2
    assert secret[:29] not in tap.sent


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("kind", ALL.values(), ids=ALL)
def test_hourpass_is_sent_the_trace_of_the_request(kind, start, tap, reader):
    """W3C Trace Context §2. A proxy that takes part puts a span of its own in between."""
    proxy = start(kind, tap.port)
    sent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "vendor=opaque"}
    try:
        assert proxy.client.get("/videos", headers={**reader.bearer, **sent}).status_code == 200
    finally:
        proxy.stop()

    lines = bytes(tap.sent).lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"traceparent: 00-" + TRACE.encode())]
    assert b"tracestate: vendor=opaque" in lines


@pytest.mark.parametrize("proxy", ["caddy", "traefik", "haproxy"], indirect=True)
def test_a_websocket_passes_if_the_proxy_does_that_by_itself(proxy, reader):
    """RFC 6455 §1.3. nginx and Envoy need lines of their own for it."""
    lines = [
        "GET /socket HTTP/1.1",
        f"Host: 127.0.0.1:{proxy.port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    credential = f"Authorization: {reader.bearer['Authorization']}"
    for more, status in (([], b"401"), ([credential], b"101")):
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as connection, connection.makefile("rwb") as file:
            file.write("\r\n".join([*lines, *more, "", ""]).encode())
            file.flush()
            assert file.readline().split()[1] == status
            if status == b"101":
                while file.readline().strip():
                    pass
                file.write(b"\x81\x05hello")
                file.flush()
                assert file.read(7) == b"\x81\x05hello"
