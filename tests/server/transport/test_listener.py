"""The server of the listening sockets: how many connections, for how long, and how it ends."""

import asyncio
import contextlib
import os
import resource
import socket
import struct
from pathlib import Path

import pytest
import uvloop
from tests.conftest import ServerProcess
from tests.front import client, until

from hourpass.server.sockets import bind
from hourpass.server.transport.house import ConnectionState
from hourpass.server.transport.listener import KEEP_ALIVE, LEAST_READ, UNREAD, Front
from hourpass.server.transport.request import Reply

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def anyio_backend():
    """On the loop that serves."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop}


pytestmark = pytest.mark.anyio


class Constant:
    """Answers when `go` is set. `begun` counts what it was asked."""

    streams = ()

    def __init__(self):
        self.go = asyncio.Event()
        self.go.set()
        self.begun = 0

    def body_limit(self, path):
        return 8_192

    def answer_at_once(self, request):
        return Reply(204, []) if request.path == "/at-once" else None

    async def answer(self, request):
        self.begun += 1
        await self.go.wait()
        if request.path == "/split":
            return Reply(200, [(b"x-name", b"value\r\nset-cookie: forged")])
        if request.path == "/broken":
            raise RuntimeError("hush")
        return Reply(200, [(b"content-type", b"text/plain")], b"x" * 3_000_000 if request.path == "/large" else b"ok")


@contextlib.asynccontextmanager
async def fronted(**settings):
    """A front, its application and its port. `kinds` are the refusals."""
    with bind("127.0.0.1", 0) as listener:
        kinds = []
        app = Constant()
        front = Front(
            app,
            [listener],
            clock=lambda: 1_800_000_000_000,
            refused=lambda kind, address: kinds.append(kind),
            **settings,
        )
        front.kinds = kinds
        await front.start()
        try:
            yield front, app, listener.getsockname()[1]
        finally:
            app.go.set()
            await front.drain()


async def answered(reader, writer, path=b"/"):
    writer.write(GET.replace(b"/ ", path + b" ", 1))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    if b"content-length: 2\r\n" in head:
        await reader.readexactly(2)
    return int(head[9:12])


async def test_each_answer_ends_its_connection_if_none_is_kept():
    async with fronted(keep_alive=False) as (_, _, port), client(port) as (reader, writer):
        writer.write(GET)

        assert b"\r\nconnection: close\r\n" in await asyncio.wait_for(reader.read(), 10)


async def test_an_idle_connection_is_kept_for_its_time_and_then_closed():
    async with fronted() as (front, _, port), client(port) as (reader, writer):
        await answered(reader, writer)
        (connection,) = front.connections

        front.end_overdue(connection.since + KEEP_ALIVE)
        assert await answered(reader, writer) == 200
        front.end_overdue(connection.since + KEEP_ALIVE + 0.001)

        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_a_connection_whose_answer_takes_longer_is_not_idle():
    async with fronted() as (front, app, port), client(port) as (reader, writer):
        app.go.clear()
        writer.write(GET)
        await until(lambda: app.begun)

        front.end_overdue(front.loop.time() + 10 * KEEP_ALIVE)
        app.go.set()

        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_a_request_that_waits_behind_a_slow_answer_is_not_late():
    """It has arrived. It is the answer before it that takes its time."""
    async with fronted(request_timeout=1) as (front, app, port), client(port) as (reader, writer):
        app.go.clear()
        writer.write(GET * 2)
        await until(lambda: app.begun)

        front.end_overdue(front.loop.time() + 100)
        app.go.set()

        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")


async def unread(front, writer):
    """The connection, when the client has a large answer that it does not read."""
    writer.transport.pause_reading()
    writer.write(GET.replace(b"/ ", b"/large ", 1))
    await until(lambda: front.connections and next(iter(front.connections)).unread_since < float("inf"))
    (connection,) = front.connections
    return connection


def waiting(connection) -> int:
    return connection._transport.get_write_buffer_size()


async def test_an_answer_is_read_for_as_long_as_the_client_takes_its_part_each_ten_seconds():
    async with fronted() as (front, _, port), client(port) as (reader, writer):
        connection = await unread(front, writer)
        began = now = connection.unread_since
        while left := waiting(connection):
            while waiting(connection) > max(0, left - LEAST_READ):
                writer.transport.resume_reading()
                await asyncio.wait_for(reader.read(LEAST_READ // 4), 10)
                writer.transport.pause_reading()
            if waiting(connection):
                now += UNREAD + 0.001
                front.end_overdue(now)

        assert now - began > KEEP_ALIVE
        assert front.connections
        assert front.kinds == []
        assert connection.since < now  # idle since the last byte was taken, and that took no real time


async def test_a_client_that_takes_less_of_its_answer_is_cut_off():
    async with fronted() as (front, _, port), client(port) as (reader, writer):
        connection = await unread(front, writer)
        began, all_of_it = connection.unread_since, waiting(connection)
        while waiting(connection) == all_of_it:
            writer.transport.resume_reading()
            await asyncio.wait_for(reader.read(1_000), 10)
            writer.transport.pause_reading()
        assert all_of_it - waiting(connection) < LEAST_READ * 4
        front.end_overdue(began + UNREAD + 0.001)
        front.end_overdue(began + 2 * UNREAD + 0.002)

        await until(lambda: not front.connections)
        assert front.kinds == ["unread"]


async def test_an_answer_that_is_not_read_ends_the_connection_after_ten_seconds():
    async with fronted() as (front, _, port), client(port) as (_, writer):
        connection = await unread(front, writer)

        front.end_overdue(connection.unread_since + UNREAD)
        assert front.connections
        front.end_overdue(connection.unread_since + UNREAD + 0.001)

        await until(lambda: not front.connections)
        assert front.kinds == ["unread"]


async def test_a_large_answer_is_read_slowly_and_whole():
    async with fronted() as (_, _, port), client(port) as (reader, writer):
        writer.write(GET.replace(b"/ ", b"/large ", 1) + GET)
        raw = b""
        while not raw.endswith(b"ok"):
            raw += await asyncio.wait_for(reader.read(50_000), 10)

    assert b"\r\n\r\n" + b"x" * 3_000_000 + b"HTTP/1.1 200 " in raw
    assert raw.count(b"HTTP/1.1 200 ") == 2


async def test_beyond_the_cap_a_new_connection_is_503_while_all_are_busy():
    async with fronted(max_connections=3) as (front, app, port), contextlib.AsyncExitStack() as clients:
        app.go.clear()
        for _ in range(3):
            _, writer = await clients.enter_async_context(client(port))
            writer.write(GET)
        await until(lambda: app.begun == 3)

        for _ in range(5):
            reader, _ = await clients.enter_async_context(client(port))
            raw = await asyncio.wait_for(reader.read(), 10)
            assert raw.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nconnection: close\r\n" in raw
        assert (len(front.connections), front.kinds) == (3, ["too_many"] * 5)


async def test_the_connection_that_is_idle_for_longest_makes_room():
    async with fronted(max_connections=3) as (front, _, port), contextlib.AsyncExitStack() as clients:
        kept, order = [], []
        for age in (30, 20, 10):
            kept.append(await clients.enter_async_context(client(port)))
            await answered(*kept[-1])
            (newest,) = front.connections - set(order)
            newest.since -= age
            order.append(newest)
        await answered(*kept[0])  # the oldest is used again

        reader, writer = await clients.enter_async_context(client(port))

        assert await answered(reader, writer) == 200
        assert order[0] in front.connections
        assert order[1] not in front.connections
        assert len(front.connections) == 3
        assert await asyncio.wait_for(kept[1][0].read(), 10) == b""


async def test_a_request_that_does_not_come_makes_room_after_all_that_are_silent():
    async with fronted(max_connections=3) as (front, _, port), contextlib.AsyncExitStack() as clients:
        order = []
        for sent, age in ((b"G", 30), (GET[:-2], 20), (b"", 10)):
            _, writer = await clients.enter_async_context(client(port))
            writer.write(sent)
            await until(lambda: len(front.connections) > len(order))
            (newest,) = front.connections - set(order)
            await until(lambda newest=newest, sent=sent: newest.is_silent() == (not sent))
            newest.since -= age
            order.append(newest)

        gone = []
        for _ in order:
            reader, writer = await clients.enter_async_context(client(port))
            assert await answered(reader, writer) == 200
            gone += [each for each in order if each not in front.connections and each not in gone]

        assert gone == [order[2], order[0], order[1]]


async def test_an_answer_that_is_left_unread_makes_room():
    async with fronted(max_connections=1) as (front, _, port), client(port) as (_, writer):
        connection = await unread(front, writer)
        connection.since = connection.unread_since = front.loop.time() - 2
        async with client(port) as (reader, writer):
            assert await answered(reader, writer) == 200
        assert connection not in front.connections


async def test_a_request_that_has_just_begun_does_not_make_room():
    async with fronted(max_connections=1) as (front, _, port), client(port) as (_, writer):
        writer.write(b"G")
        await until(lambda: front.connections and not next(iter(front.connections)).is_silent())
        async with client(port) as (reader, _):
            assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 503 ")


async def test_descriptors_that_run_out_end_no_server_and_keep_no_core_busy():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with fronted() as (front, _, port):
        with contextlib.ExitStack() as sockets:
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
            try:
                for _ in range(40):
                    with contextlib.suppress(OSError):
                        one = sockets.enter_context(socket.socket())
                        one.setblocking(False)
                        one.connect_ex(("127.0.0.1", port))
                await asyncio.sleep(0.05)
                before = os.times().user + os.times().system
                await asyncio.sleep(0.5)
                busy = os.times().user + os.times().system - before
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert busy < 0.4
        async with client(port) as (reader, writer):
            assert await answered(reader, writer) == 200
        assert front.connections is not None


async def test_an_idle_connection_costs_less_than_4_kib():
    """Of ours: the connection, its transport and what both hold."""
    import tracemalloc

    async with fronted() as (front, _, port), contextlib.AsyncExitStack() as clients:
        await clients.enter_async_context(client(port))
        raw = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        await until(lambda: len(front.connections) == 21)
        tracemalloc.start()
        try:
            more = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
            for one in more:
                one.sendall(GET.replace(b"/ ", b"/at-once ", 1))
            await until(lambda: sum(each.state is ConnectionState.IDLE for each in front.connections) == 200)
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
        ours = sum(trace.size for trace in snapshot.traces if "socket.py" not in trace.traceback[0].filename)
        for one in raw + more:
            one.close()

    assert ours / 200 < 4_096


MANY = 10_000
AT_ONCE = 500
"""Connections that come together: fewer than the backlog holds."""


@contextlib.contextmanager
def descriptors(wanted):
    """Open as many as the machine allows, for a while, and say how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(server):
    """Bytes of a server's process. The kernel's buffers are not among them."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture
def server(tmp_path):
    """A whole server, in a process of its own."""
    server = ServerProcess(tmp_path / "data", tmp_path / "server.log", {}, {}).start()
    yield server
    server.kill()


def test_ten_thousand_idle_connections_cost_less_than_4_kib_each(server):
    with descriptors(MANY + AT_ONCE) as allowed, contextlib.ExitStack() as clients:
        batches = (allowed - AT_ONCE) // AT_ONCE
        before = memory(server)
        for _ in range(batches):
            some = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(AT_ONCE)]
            for one in some:
                clients.enter_context(one)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no port behind
                one.sendall(GET.replace(b"/ ", b"/health/live ", 1))
            assert {one.recv(4_096)[:13] for one in some} == {b"HTTP/1.1 200 "}
        each = (memory(server) - before) / (batches * AT_ONCE)

    assert each < 4_096, f"{each:.0f} bytes for each of {batches * AT_ONCE}; it is {MANY} if the machine lets us"


async def test_a_header_that_would_be_two_and_a_failure_are_500_say_nothing_and_are_reported():
    reported = []
    async with fronted(report=reported.append) as (_, _, port):
        for path in (b"/split", b"/broken"):
            async with client(port) as (reader, writer):
                writer.write(GET.replace(b"/ ", path + b" ", 1).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
                raw = await asyncio.wait_for(reader.read(), 10)
            assert raw.startswith(b"HTTP/1.1 500 ")
            assert b"forged" not in raw
            assert b"hush" not in raw
    assert [type(error) for error in reported] == [ValueError, RuntimeError]


async def test_head_and_body_leave_together():
    packets = []

    class Client(asyncio.Protocol):
        def data_received(self, data):
            packets.append(data)

    async with fronted() as (front, _, port):
        transport, _ = await front.loop.create_connection(Client, "127.0.0.1", port)
        transport.write(GET)
        await until(lambda: packets)
        transport.abort()

    assert packets[0].startswith(b"HTTP/1.1 200 ")
    assert packets[0].endswith(b"\r\n\r\nok")
    assert b"\r\ndate: Fri, 15 Jan 2027 08:00:00 GMT\r\n" in packets[0]


async def test_a_client_that_left_before_its_answer_disturbs_nobody():
    async with fronted() as (front, app, port):
        async with client(port) as (_, writer):
            app.go.clear()
            writer.write(GET)
            await until(lambda: app.begun == 1)
        app.go.set()
        await until(lambda: not front.connections)
        async with client(port) as (reader, writer):
            assert await answered(reader, writer) == 200


@pytest.mark.parametrize("before", [0, 1], ids=["has just come", "was kept"])
async def test_draining_answers_a_request_that_is_on_its_way_on_a_connection_that(before):
    async with fronted(drain_timeout=5) as (front, _, port), client(port) as (reader, writer):
        await until(lambda: front.connections)
        for _ in range(before):
            await answered(reader, writer)
        draining = asyncio.create_task(front.drain())
        await until(lambda: not front.keep_alive)
        await asyncio.sleep(0)
        writer.write(GET)
        raw = await asyncio.wait_for(reader.read(), 10)
        await draining

    assert raw.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in raw


async def test_draining_answers_requests_that_have_begun_and_says_that_the_connection_ends():
    async with fronted(drain_timeout=5) as (front, app, port):
        async with client(port) as (reader, writer), client(port) as (idle, _):
            app.go.clear()
            writer.write(GET)
            await until(lambda: app.begun)
            draining = asyncio.create_task(front.drain())
            assert await asyncio.wait_for(idle.read(), 10) == b""
            app.go.set()
            raw = await asyncio.wait_for(reader.read(), 10)
            await draining

        assert raw.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in raw
