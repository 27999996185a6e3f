"""Bodies that the application reads while they come: the same strictness, and no more memory than a piece."""

import asyncio
import contextlib
import socket
import struct

import httpx2
import pytest
from tests.front import client, until
from tests.hostile.conftest import message

from hourpass.server.sockets import bind
from hourpass.server.transport.asgi import respond
from hourpass.server.transport.body import MAX_CHUNKS, PIECE
from hourpass.server.transport.listener import Front
from hourpass.server.transport.request import BodyCutOff, Reply, TooLarge

pytestmark = pytest.mark.anyio

LIMIT = 16 * 1024 * 1024
CHUNKED = b"transfer-encoding: chunked"
CLOSE = b"connection: close"
EXPECT = b"expect: 100-continue"
MINE = b"authorization: mine"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
AT_ONCE = 256 * 1024
"""The event loop reads no more at once."""


class Importer:
    """Judges the headers, then reads the body. It works on a piece when `go` is set."""

    streams = ("/stream",)

    def __init__(self):
        self.go = asyncio.Event()
        self.go.set()
        self.taken, self.largest, self.cut_off, self.asked = 0, 0, 0, []

    def body_limit(self, path):
        return LIMIT if path in self.streams else 64

    def answer_at_once(self, request):
        return None

    async def answer(self, request):
        self.asked.append(request.path)
        if request.stream is None:
            return Reply(200, [], request.body)
        if request.header(b"authorization") is None:
            return Reply(401, [])
        try:
            return Reply(200, [], b"%d" % await self._read(request))
        except BodyCutOff:
            self.cut_off += 1
            raise
        except TooLarge:
            return Reply(413, [])

    async def _read(self, request):
        taken = 0
        async for piece in request.stream:
            self.largest = max(self.largest, len(piece))
            taken += len(piece)
            self.taken = taken
            await self.go.wait()
        return taken

    async def __call__(self, scope, receive, send):
        await respond(self, scope, receive, send)


@contextlib.asynccontextmanager
async def fronted(**settings):
    with bind("127.0.0.1", 0) as listener:
        app, failures = Importer(), []
        settings.setdefault("report", failures.append)
        front = Front(app, [listener], clock=lambda: 1_800_000_000_000, **settings)
        await front.start()
        try:
            yield front, app, listener.getsockname()[1]
        finally:
            app.go.set()
            await front.drain()
        assert all(isinstance(each, BodyCutOff) for each in failures)


async def talk(port, *parts):
    """All that the server sends until it hangs up."""
    async with client(port) as (reader, writer):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.read(), 10)


def stream(*headers, body=b"", path=b"/stream"):
    return message(b"POST", path, MINE, *headers, body=body)


def length(size):
    return b"content-length: %d" % size


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def statuses(raw):
    return [int(part[:3]) for part in raw.split(b"HTTP/1.1 ")[1:]]


BODY = bytes(range(256)) * 1_024
TINY = [chunk(b"ab") + chunk(b"c")] * (5 * MAX_CHUNKS)
SMALL = [chunk(BODY[at : at + 100]) for at in range(0, len(BODY), 100)]
WAYS = {
    "by its length": ([stream(length(len(BODY)), CLOSE), BODY], b"262144"),
    "in one chunk": ([stream(CHUNKED, CLOSE), chunk(BODY), b"0\r\n\r\n"], b"262144"),
    "in small chunks": ([stream(CHUNKED, CLOSE), *SMALL, b"0\r\n\r\n"], b"262144"),
    "in more chunks than a piece may have": (
        [stream(CHUNKED, CLOSE), *TINY, b"0\r\n\r\n"],
        b"%d" % (15 * MAX_CHUNKS),
    ),
    "in one packet with its head": ([stream(length(5), CLOSE, body=b"abcde")], b"5"),
    "in no chunk": ([stream(CHUNKED, CLOSE, body=b"0\r\n\r\n")], b"0"),
    "with trailers": ([stream(CHUNKED, CLOSE), chunk(b"abc"), b"0\r\nauthorization: other\r\n\r\n"], b"3"),
    "without a body": ([stream(length(0), CLOSE)], b""),
}


@pytest.mark.parametrize(("parts", "told"), WAYS.values(), ids=WAYS)
async def test_a_stream_is_the_body_however_it_comes(parts, told):
    async with fronted() as (_, app, port):
        raw = await talk(port, *parts)

    assert statuses(raw) == [200]
    assert raw.partition(b"\r\n\r\n")[2] == told
    assert app.largest <= PIECE


async def test_a_caller_is_judged_before_the_body_comes():
    """RFC 9110 §10.1.1: instead of 100 Continue. What comes all the same is not read as a request."""
    async with fronted() as (_, app, port):
        head = message(b"POST", b"/stream", EXPECT, length(LIMIT))
        async with client(port) as (reader, writer):
            writer.write(head)
            raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.write(message(b"GET", b"/smuggled"))
            assert await asyncio.wait_for(reader.read(), 10) == b""

    assert statuses(raw) == [401]
    assert b"\r\nconnection: close\r\n" in raw
    assert app.asked == ["/stream"]


async def test_a_caller_who_may_is_told_to_go_on():
    async with fronted() as (_, _, port), client(port) as (reader, writer):
        writer.write(stream(EXPECT, length(3)))
        assert await asyncio.wait_for(reader.readexactly(len(CONTINUE)), 10) == CONTINUE
        writer.write(b"abc")
        raw = await asyncio.wait_for(reader.readuntil(b"3"), 10)

    assert statuses(raw) == [200]


async def test_a_caller_who_sends_on_gets_to_read_why_it_was_refused():
    async with fronted() as (_, _, port), client(port) as (reader, writer):
        writer.write(message(b"POST", b"/stream", length(LIMIT)) + b"a" * 100_000)

        assert statuses(await asyncio.wait_for(reader.read(), 10)) == [401]


async def test_a_client_that_is_faster_than_the_work_waits():
    """The kernel and one piece hold what it sent, however much it would send."""
    async with fronted() as (front, app, port):
        app.go.clear()
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
            sender.setblocking(False)
            sender.send(stream(length(LIMIT)))
            await until(lambda: front.connections)
            (connection,) = front.connections
            sent = await _as_much_as_it_takes(sender)
            held = len(connection._buffer)
            app.go.set()
            more = await _as_much_as_it_takes(sender, LIMIT - sent)
            assert sent + more == LIMIT
            await until(lambda: app.taken == LIMIT)

    assert held <= AT_ONCE
    assert sent < 1_000_000
    assert app.largest <= PIECE


async def _as_much_as_it_takes(sender, size=LIMIT):
    sent = quiet = 0
    while sent < size and quiet < 200:
        try:
            sent += sender.send(b"a" * min(65_536, size - sent))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await asyncio.sleep(0.001)
    return sent


@pytest.mark.parametrize("body", [chunk(b"abc") + b"0\r\nx-a: b\r\n\r\n", None], ids=["chunks", "length"])
async def test_requests_behind_a_stream_are_answered_after_it(body):
    behind = message(b"GET", b"/a") + message(b"GET", b"/b", CLOSE)
    whole = stream(CHUNKED, body=body) if body else stream(length(3), body=b"abc")
    async with fronted() as (_, app, port):
        at_once = await talk(port, whole + behind)
        by_byte = await talk(port, *[bytes([each]) for each in whole + behind])

    assert statuses(at_once) == statuses(by_byte) == [200, 200, 200]
    assert app.asked == ["/stream", "/a", "/b"] * 2


BROKEN = {
    "a length and chunks": (stream(CHUNKED, length(3), body=b"0\r\n\r\n"), 400, 0),
    "two lengths": (stream(length(3), length(4), body=b"abc"), 400, 0),
    "more than the limit": (stream(length(LIMIT + 1)), 413, 0),
    "a huge chunk": (stream(CHUNKED, body=b"ffffffff\r\n"), 413, 1),
    "a chunk that is not one": (stream(CHUNKED, body=chunk(b"a" * PIECE) + b"x\r\n"), 400, 1),
    "a chunk without its end": (stream(CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"), 400, 1),
    "a line feed for a line's end": (stream(CHUNKED, body=b"3\nabc\n0\n\n"), 400, 1),
    "a size without an end": (stream(CHUNKED, body=b"1;" + b"a" * 20_000), 400, 1),
    "endless trailers": (stream(CHUNKED, body=b"0\r\n" + b"a: b\r\n" * 10_000), 431, 1),
    "a trailer that is not one": (stream(CHUNKED, body=b"0\r\n a: b\r\n\r\n"), 400, 1),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "status", "cut_off"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_stream_is_refused_and_nothing_behind_it_is_read(raw, status, cut_off):
    async with fronted() as (_, app, port):
        told = await talk(port, raw + message(b"GET", b"/smuggled"))

    assert statuses(told) == [status]
    assert (app.cut_off, "/smuggled" in app.asked) == (cut_off, False)


async def test_more_than_the_limit_in_chunks_is_refused():
    async with fronted() as (_, app, port), client(port) as (reader, writer):
        writer.write(stream(CHUNKED))
        with contextlib.suppress(ConnectionError):
            for _ in range(LIMIT // 65_536 + 1):
                writer.write(chunk(b"a" * 65_536))
                await writer.drain()
        assert statuses(await asyncio.wait_for(reader.read(), 10)) == [413]

    assert app.cut_off == 1
    assert app.taken <= LIMIT


@pytest.mark.parametrize("how", ["sends no more", "closes", "resets"])
@pytest.mark.parametrize("busy", [False, True], ids=["while it waits", "while it works"])
async def test_a_client_that_stops_in_the_middle_never_looks_like_one_that_is_done(how, busy):
    async with fronted() as (front, app, port), client(port) as (_, writer):
        if busy:
            app.go.clear()
        writer.write(stream(length(2 * PIECE)) + b"a" * PIECE)
        await until(lambda: app.taken)
        (connection,) = front.connections

        if how == "sends no more":
            writer.write_eof()
        else:
            if how == "resets":
                no_linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            writer.transport.abort()
        await until(lambda: connection._left)
        app.go.set()

        await until(lambda: app.cut_off)
        await until(lambda: not front.connections)


async def test_a_piece_has_the_time_of_a_request():
    """So a sender of a byte now and then is sent away, and one that waits for our work is not."""
    async with fronted(request_timeout=10) as (front, app, port), client(port) as (reader, writer):
        app.go.clear()
        writer.write(stream(length(2 * PIECE)) + b"a" * PIECE)
        await until(lambda: app.taken)
        (connection,) = front.connections
        connection.since -= 1_000
        front.end_overdue(front.loop.time())
        assert app.cut_off == 0

        app.go.set()
        await until(lambda: connection.state.name == "READING")
        front.end_overdue(front.loop.time())
        asked = connection.since
        writer.write(b"a")
        await until(lambda: connection._buffer)
        front.end_overdue(asked + 10)
        assert app.cut_off == 0
        front.end_overdue(asked + 10.001)

        assert statuses(await asyncio.wait_for(reader.read(), 10)) == [408]
        await until(lambda: app.cut_off)


async def test_a_stream_under_way_when_the_server_drains_is_finished_or_cut_off():
    async with fronted(drain_timeout=0.2) as (front, app, port), client(port) as (reader, writer):
        app.go.clear()
        writer.write(stream(length(2 * PIECE)) + b"a" * PIECE)
        await until(lambda: app.taken)
        draining = asyncio.ensure_future(front.drain())
        app.go.set()

        assert statuses(await asyncio.wait_for(reader.read(), 10)) == [408]
        await draining
        assert app.cut_off == 1


@contextlib.asynccontextmanager
async def mounted(app):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://x") as client:
        yield client


async def test_other_servers_hand_over_a_stream_as_well():
    async def pieces(count):
        for _ in range(count):
            yield b"a" * 65_536

    app = Importer()
    async with mounted(app) as client:
        whole = await client.post("/stream", content=pieces(3), headers={"authorization": "mine"})
        large = await client.post("/stream", content=pieces(LIMIT // 65_536 + 1), headers={"authorization": "mine"})

    assert (whole.text, large.status_code) == (str(3 * 65_536), 413)


async def test_a_client_that_leaves_another_server_cuts_the_stream_off():
    app = Importer()
    messages = iter([{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}])
    scope = {"type": "http", "method": "POST", "path": "/stream", "headers": [(b"authorization", b"mine")]}

    async def receive():
        return next(messages)

    async def send(message):
        raise AssertionError(message)

    with pytest.raises(BodyCutOff):
        await app(scope, receive, send)
    assert app.cut_off == 1
