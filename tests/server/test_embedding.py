"""The application under other servers, as they are: it relies on no guarantee of our own front."""

import asyncio
import contextlib
import re
import threading

import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn

from hourpass.core.errors import ConfigurationError
from hourpass.server.sockets import bind
from hourpass.testing import InMemoryServer

pytestmark = pytest.mark.anyio

CHUNKED = b"transfer-encoding: chunked"
FORWARDED = b"x-forwarded-for: 203.0.113.9"


class Uvicorn(uvicorn.Server):
    def capture_signals(self):
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def under_uvicorn(app, listener):
    server = Uvicorn(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    served = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    yield
    server.should_exit = True
    await served


@contextlib.asynccontextmanager
async def under_hypercorn(app, listener):
    config = hypercorn.config.Config()
    host, port = listener.getsockname()
    listener.close()  # it binds by itself
    config.bind = [f"{host}:{port}"]
    config.errorlog = None
    ended = asyncio.Event()
    served = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=ended.wait))
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            break
        await asyncio.sleep(0.01)
    yield
    ended.set()
    await served


class Embedded:
    """The application on a port, and a key that is accepted from 203.0.113.0/24 alone."""

    def __init__(self, port: int, api_key: str) -> None:
        self.port = port
        self.body = b'{"apiKey":"%b"}' % api_key.encode()

    def chunks(self, *trailers: bytes) -> bytes:
        body = self.body
        return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, b"".join(line + b"\r\n" for line in trailers))

    async def told(self, *headers: bytes, body: bytes, cut: int | None = None) -> int:
        """The status of an exchange, all of which is sent at once, or in two parts."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = (b"POST /auth/api-key HTTP/1.1", b"host: x", *headers, b"connection: close", b"", b"")
        writer.write(b"\r\n".join(lines) + body[:cut])
        if cut is not None:
            await asyncio.sleep(0.05)
            writer.write(body[cut:])
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        (status,) = re.findall(rb"HTTP/1.1 (\d+) ", answer)
        return int(status)


@pytest.fixture(params=[under_uvicorn, under_hypercorn])
async def embedded(request):
    async with InMemoryServer() as server:
        api_key = await server.create_key(allowed_ips=("203.0.113.0/24",))
        with bind("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            async with request.param(server.app, listener):
                yield Embedded(port, api_key)


async def test_a_request_with_a_length_is_answered(embedded):
    length = b"content-length: %d" % len(embedded.body)

    assert await embedded.told(FORWARDED, length, body=embedded.body) == 200
    assert await embedded.told(length, body=embedded.body) == 400


async def test_a_request_in_chunks_is_answered(embedded):
    assert await embedded.told(FORWARDED, CHUNKED, body=embedded.chunks()) == 200
    assert await embedded.told(CHUNKED, body=embedded.chunks()) == 400


@pytest.mark.parametrize("cut", [None, 0, 5, -4, -2])
async def test_a_trailer_never_becomes_a_header(embedded, cut):
    """RFC 9110 §6.5.1. Uvicorn appends trailers to the scope's headers, some even before it calls the application."""
    assert await embedded.told(CHUNKED, body=embedded.chunks(FORWARDED), cut=cut) in (400, 411)


async def test_a_header_that_may_be_a_trailer_is_refused_and_not_passed_over(embedded):
    """A passed over X-Forwarded-For would make the proxy's own address the client's."""
    assert await embedded.told(CHUNKED, FORWARDED, body=embedded.chunks()) == 411


async def test_a_start_that_fails_leaves_no_thread_behind(tmp_path):
    with pytest.raises(ConfigurationError):
        async with InMemoryServer(github_leaks="revoke", github_leak_keys=str(tmp_path / "missing.json")):
            pass

    assert not [thread for thread in threading.enumerate() if thread.name == "hourpass-ledger"]
