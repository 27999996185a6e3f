"""The bodies of requests, by our own front and under other servers: with each method that may have one, and limited."""

import asyncio
import contextlib

import httpx2
import pytest

from hourpass.server.sockets import bind
from hourpass.server.transport.asgi import respond
from hourpass.server.transport.listener import Front
from hourpass.server.transport.render import problem
from hourpass.server.transport.request import Reply, TooLarge

pytestmark = pytest.mark.anyio
LIMIT = 64


class Echo:
    """Answers with what it was sent."""

    streams = ()

    def body_limit(self, path):
        return LIMIT

    def answer_at_once(self, request):
        return None

    async def answer(self, request):
        return problem(TooLarge()) if len(request.body) > LIMIT else Reply(200, [], request.body)

    async def __call__(self, scope, receive, send):
        await respond(self, scope, receive, send)


@contextlib.asynccontextmanager
async def fronted():
    with bind("127.0.0.1", 0) as listener:
        front = Front(Echo(), [listener], clock=lambda: 1_800_000_000_000)
        await front.start()
        try:
            yield httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            await front.drain()


@contextlib.asynccontextmanager
async def mounted():
    yield httpx2.AsyncClient(transport=httpx2.ASGITransport(app=Echo()), base_url="http://x")


async def chunks(body):
    for at in range(0, len(body), 7):
        yield body[at : at + 7]
        await asyncio.sleep(0)


@pytest.mark.parametrize("server", [fronted, mounted])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_body_is_read_up_to_the_limit_with_any_method(server, method):
    async with server() as client, client:
        assert (await client.request(method, "/", content=b"x" * LIMIT)).content == b"x" * LIMIT
        assert (await client.request(method, "/", content=chunks(b"y" * LIMIT))).content == b"y" * LIMIT
        assert (await client.request(method, "/", content=b"x" * (LIMIT + 1))).status_code == 413
        assert (await client.request(method, "/", content=chunks(b"y" * (LIMIT + 1)))).status_code == 413
