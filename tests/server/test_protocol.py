"""Uvicorn as we run it: an answer leaves in one piece, byte for byte as uvicorn itself would send it in two."""

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator

import pytest

from hourpass.server.asgi import Asgi, Reply
from hourpass.server.config import Settings
from hourpass.server.http import KEEP_ALIVE, Uvicorn, bind

pytestmark = pytest.mark.anyio

HOST = b"Host: hourpass.test\r\n"
JSON = [(b"content-type", b"application/json")]
BIG = b"x" * 3_000_000

REPLIES = {
    "/json": Reply(200, JSON, b'{"ok":true}'),
    "/nothing": Reply(204, [(b"hourpass-subject", b"s\xc3\xbc"), (b"hourpass-scope", b"")]),
    "/unchanged": Reply(304, [(b"etag", b'"a"')]),
    "/refused": Reply(401, [(b"www-authenticate", b'Bearer realm="a"')], b"{}"),
    "/unavailable": Reply(503, [(b"retry-after", b"1")]),
    "/big": Reply(200, [], BIG),
}
REPLIES["/at-once"] = REPLIES["/nothing"]


class Application:
    """Answers by path; reads the body that was announced."""

    def answer_at_once(self, scope):
        return REPLIES["/nothing"] if scope["path"] == "/at-once" else None

    async def answer(self, scope, receive, body=None):
        if any(name == b"content-length" for name, _ in scope["headers"]):
            assert (body or (await receive())["body"]) == b"body"
        if scope["path"] == "/split":
            return Reply(200, [(b"x-name", b"value\r\nset-cookie: forged")])
        return REPLIES[scope["path"]]

    async def __call__(self, scope, receive, send):
        reply = await self.answer(scope, receive)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.framed()})
        await send({"type": "http.response.body", "body": reply.body})


@contextlib.asynccontextmanager
async def carried(app: Asgi, **settings: object) -> AsyncIterator[tuple[Uvicorn, int]]:
    listener = bind("127.0.0.1", 0)
    carrier = Uvicorn(app, listener, dataclasses.replace(Settings(), **settings))
    await carrier.start()
    try:
        yield carrier, listener.getsockname()[1]
    finally:
        await carrier.drain()


async def told(port: int, *requests: bytes) -> list[bytes]:
    """What comes back, packet by packet, until the server closes; the last request asks it to."""
    packets: list[bytes] = []
    closed = asyncio.get_running_loop().create_future()

    class Client(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            packets.append(re.sub(rb"date: [^\r]+", b"date: now", data))

        def connection_lost(self, exc: Exception | None) -> None:
            closed.set_result(None)

    transport, _ = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    transport.write(b"".join(requests))
    await asyncio.wait_for(closed, 10)
    return packets


def request(path: str, *headers: bytes, method: str = "GET", version: str = "1.1", close: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/{version}\r\n".encode(), HOST, *(line + b"\r\n" for line in headers)]
    return b"".join(lines) + (b"connection: close\r\n\r\n" if close else b"\r\n")


CONVERSATIONS = {
    "an answer with a body": [request("/json")],
    "an answer without one": [request("/nothing")],
    "a document that did not change": [request("/unchanged")],
    "a refusal": [request("/refused")],
    "trouble": [request("/unavailable")],
    "a head alone": [request("/json", method="HEAD")],
    "a client of HTTP/1.0": [request("/json", version="1.0", close=False)],
    "a request with a body": [request("/json", b"content-length: 4", method="POST") + b"body"],
    "two requests, one after the other": [request("/json", close=False), request("/refused")],
    "an answer that waits for nothing": [request("/at-once")],
    "one to a head": [request("/at-once", method="HEAD")],
    "one to a client of HTTP/1.0": [request("/at-once", version="1.0", close=False)],
    "one that does not wait for the body": [
        request("/at-once", b"content-length: 4", method="POST", close=False) + b"body",
        request("/json"),
    ],
    "one with a body that nobody asked for": [
        request("/at-once", b"content-length: 4", close=False) + b"body",
        request("/json"),
    ],
    "one whose client asked to go on first": [
        request("/at-once", b"content-length: 4", b"expect: 100-continue", method="POST") + b"body"
    ],
    "one with a query, and one with a fragment": [
        request("/at-once?scope=a", close=False),
        request("/at-once#a", close=False),
        request("/refused"),
    ],
    "one behind others, and before them": [
        request("/at-once", close=False),
        request("/json", close=False),
        request("/at-once", close=False),
        request("/refused"),
    ],
    "three at once, one of them with a body": [
        request("/nothing", close=False),
        request("/json", b"content-length: 4", method="POST", close=False) + b"body",
        request("/unchanged"),
    ],
}


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_an_answer_in_one_piece_is_what_uvicorn_would_send_in_two(conversation):
    app = Application()
    async with carried(app) as (_, port):
        ours = await told(port, *conversation)
    async with carried(app.__call__) as (_, port):
        uvicorns = await told(port, *conversation)

    assert b"".join(ours) == b"".join(uvicorns)
    assert b"date: now" in ours[0]


async def test_head_and_body_leave_together():
    async with carried(Application()) as (_, port):
        (packet,) = await told(port, request("/json"))

    assert packet.startswith(b"HTTP/1.1 200 OK\r\n")
    assert packet.endswith(b'\r\n\r\n{"ok":true}')


async def test_what_can_be_answered_at_once_needs_no_task_and_leaves_the_connection_idle():
    class Waiting(Application):
        async def answer(self, scope, receive, body=None):
            raise AssertionError

    async with carried(Waiting()) as (carrier, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(request("/at-once", close=False))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
        connection = await the_connection(carrier)

        carrier.close_overdue(connection.idle_since + KEEP_ALIVE + 0.001)

        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_nothing_is_answered_behind_a_refusal():
    too_large = request("/json", b"x-header: " + b"x" * 9_000, close=False)
    async with carried(Application(), header_limit=8_192) as (_, port):
        answer = b"".join(await told(port, too_large, request("/at-once", close=False)))

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_of_requests_that_come_together_only_the_first_is_answered_at_once():
    """Whoever sends thousands in one packet takes turns with other clients; none is too many behind a slow one."""
    tasks = 0

    class Counting(Application):
        async def answer(self, scope, receive, body=None):
            nonlocal tasks
            tasks += 1
            return await super().answer(scope, receive, body)

    async with carried(Counting()) as (_, port):
        answers = b"".join(await told(port, *[request("/at-once", close=False)] * 100, request("/at-once")))
        assert tasks >= 90  # a packet may be read in pieces
        slow = [request("/json", close=False), *[request("/at-once", close=False)] * 3_000, request("/at-once")]
        behind = b"".join(await told(port, *slow))

    assert answers.count(b"HTTP/1.1 204 ") == 101
    assert behind.count(b"HTTP/1.1 204 ") == 3_001


async def test_a_client_that_waits_for_100_is_told_to_go_on_once():
    waiting = request("/json", b"content-length: 4", b"expect: 100-continue", method="POST")
    async with carried(Application()) as (_, port):
        answer = b"".join(await told(port, waiting, b"body"))

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2


async def test_a_header_that_would_be_two_is_not_sent():
    async with carried(Application()) as (_, port):
        answer = b"".join(await told(port, request("/split")))

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"forged" not in answer


async def test_a_client_that_reads_slowly_gets_all_of_several_large_answers():
    async with carried(Application()) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
        writer.write(request("/big", close=False) * 3 + request("/json"))
        everything = bytearray()
        while piece := await asyncio.wait_for(reader.read(65_536), 10):
            everything += piece
        writer.close()

    assert everything.count(BIG) == 3
    assert everything.endswith(b'{"ok":true}')


async def test_a_client_that_left_before_its_answer_disturbs_nobody():
    gone = asyncio.Event()

    class Slow(Application):
        async def answer(self, scope, receive, body=None):
            if scope["path"] == "/json":
                await gone.wait()
            return await super().answer(scope, receive, body)

    async with carried(Slow()) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("/json"))
        await writer.drain()
        writer.transport.abort()
        await told(port, request("/nothing"))
        gone.set()

        assert b"401" in (await told(port, request("/refused")))[0]


async def test_an_idle_connection_is_kept_for_its_time_and_then_closed():
    async with carried(Application(), request_timeout=5) as (carrier, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connection = await the_connection(carrier)
        writer.write(request("/json", close=False))
        await reader.readuntil(b'{"ok":true}')
        idle_since = connection.idle_since

        carrier.close_overdue(idle_since + KEEP_ALIVE)
        writer.write(request("/json", close=False))
        await reader.readuntil(b'{"ok":true}')
        idle_since = connection.idle_since
        carrier.close_overdue(idle_since + KEEP_ALIVE + 0.001)

        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_connection_is_idle_too_where_the_answer_came_before_all_of_the_request():
    """As a refusal may."""

    class Hasty(Application):
        async def answer(self, scope, receive, body=None):
            return REPLIES["/refused"]

    async with carried(Hasty()) as (carrier, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connection = await the_connection(carrier)
        writer.write(request("/json", b"content-length: 4", method="POST", close=False))
        await reader.readuntil(b"{}")
        assert connection.idle_since == float("inf")
        writer.write(b"body")
        while connection.idle_since == float("inf"):
            await asyncio.sleep(0)

        carrier.close_overdue(connection.idle_since + KEEP_ALIVE + 0.001)

        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_connection_whose_answer_takes_longer_is_not_idle():
    going_on = asyncio.Event()

    class Slow(Application):
        async def answer(self, scope, receive, body=None):
            await going_on.wait()
            return await super().answer(scope, receive, body)

    async with carried(Slow()) as (carrier, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connection = await the_connection(carrier)
        writer.write(request("/json", close=False))
        while connection.waiting_since != float("inf"):
            await asyncio.sleep(0)

        carrier.close_overdue(asyncio.get_running_loop().time() + 10 * KEEP_ALIVE)
        going_on.set()

        assert (await reader.readuntil(b'{"ok":true}')).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def the_connection(carrier: Uvicorn):
    """The one connection, once the server knows it."""
    while not carrier._connections():
        await asyncio.sleep(0)
    return carrier._connections()[0]
