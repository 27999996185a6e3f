"""The texts of a client do not stay in memory: every kind of long text, read, judged and answered by the real code."""

import asyncio
import gc
import tracemalloc

import pytest

from hourpass.server.transport.message import MAX_BLOCKS_KEPT, MAX_KEPT, answer, find_head, read_head
from hourpass.testing import InMemoryServer

REQUESTS = 300
LONG = 15_000
"""Bytes of each text: 4.5 million in all."""

SPARE = 300_000
"""Bytes that other things may take: the throttle remembers who failed, the answers of an instant are kept."""

KINDS = {
    "x-forwarded-for": (b"POST", b"/auth/api-key", b"x-forwarded-for: %b, 192.0.2.7"),
    "a zone in x-forwarded-for": (b"POST", b"/auth/api-key", b"x-forwarded-for: fe80::1%%%b"),
    "origin": (b"GET", b"/.well-known/jwks.json", b"origin: https://%b.test"),
    "host": (b"GET", b"/health/live", b"host: %b"),
    "name of a header": (b"GET", b"/health/live", b"%b: a"),
    "connection": (b"GET", b"/health/live", b"connection: %b"),
    "expect": (b"GET", b"/health/live", b"expect: %b"),
    "authorization": (b"GET", b"/auth/verify", b"authorization: Bearer %b"),
    "query": (b"GET", b"/auth/verify?scope=%b", b""),
    "query in pieces": (b"GET", b"/auth/verify?scope=a&scope=%b", b""),
    "path": (b"GET", b"/%b", b""),
    "method": (b"%b", b"/health/live", b""),
}


def said(kind: str, number: int) -> bytes:
    """A request whose long text occurs once."""
    text = b"%08d%b" % (number, b"x" * LONG)
    method, target, line = (part % text if b"%" in part else part for part in KINDS[kind])
    host = b"" if line[:5] == b"host:" else b"host: a"
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method, target), *filter(None, (host, line)), b"", b""))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_no_text_of_a_client_stays_in_memory(kind):
    async with InMemoryServer(cors_origins=("*",)) as server:

        async def ask(number: int) -> None:
            raw = said(kind, number)
            start, end = find_head(raw, 0, 16_384)
            request, *_ = read_head(raw[start:end], "127.0.0.1")
            request.body = b'{"apiKey":"absent"}'
            reply = server.app.answer_at_once(request) or await server.app.answer(request)
            answer(reply, b"", head_only=False, close=False)

        for number in range(20):
            await ask(number)
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(20, 20 + REQUESTS):
                await ask(number)
                await asyncio.sleep(0)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert kept < SPARE


def kept_of(count, lines):
    """Bytes that stay of so many header blocks, each with other lines."""
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            read_head(b"\r\n".join((b"GET /health/live HTTP/1.1", b"host: a", *lines(number))), "127.0.0.1")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [b"authorization: Bearer", b"cookie:", b"x-api-key:"])
def test_a_header_block_with_a_line_as_long_as_a_credential_is_not_kept(name):
    kept = kept_of(MAX_BLOCKS_KEPT, lambda number: (b"%b %0*d" % (name, MAX_KEPT, number), b"accept: */*"))

    assert kept < MAX_BLOCKS_KEPT * MAX_KEPT / 2


def test_no_more_than_so_many_header_blocks_are_kept():
    def seven(number):
        return (b"x-%d: %050d" % (line, number) for line in range(7))

    # Each takes about 2,000 bytes.
    assert kept_of(3 * MAX_BLOCKS_KEPT, seven) < MAX_BLOCKS_KEPT * 3_000
