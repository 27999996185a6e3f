"""The ways of each library that its adapter must know."""

import asyncio
import threading
from contextlib import suppress

import aiohttp
import httpx
import httpx2
import pytest
import requests
from aiohttp import web

import hourpass.client.auth.aiohttp
import hourpass.client.auth.httpx
import hourpass.client.auth.httpx2
import hourpass.client.auth.requests

HTTPX = [
    pytest.param(httpx2, hourpass.client.auth.httpx2.HourpassAuth, id="httpx2"),
    pytest.param(httpx, hourpass.client.auth.httpx.HourpassAuth, id="httpx"),
]


@pytest.mark.parametrize(("library", "auth"), HTTPX)
def test_a_replay_uses_up_a_redirect_so_two_must_be_allowed(library, auth, source, api):
    api.script = [(401, {})] * 2
    with library.Client(auth=auth(source), verify=False, max_redirects=2) as client:
        response = client.get(api.url)

    assert response.status_code == 200
    assert [earlier.status_code for earlier in response.history] == [401, 401]


@pytest.mark.parametrize(("library", "auth"), HTTPX)
def test_a_request_that_is_sent_again_does_not_have_its_own_authorization(library, auth, source, api):
    with library.Client(auth=auth(source), verify=False) as client:
        request = client.build_request("GET", api.url)
        client.send(request)
        api.rejected = {"access-1"}

        assert client.send(request).status_code == 200
        assert "Authorization" not in request.headers


@pytest.mark.parametrize(("library", "auth"), HTTPX)
def test_hooks_see_the_body_that_is_sent(library, auth, source, api):
    seen = []
    hooks = {"request": [lambda request: seen.append(request.content)]}
    with library.Client(auth=auth(source), verify=False, event_hooks=hooks) as client:
        client.post(api.url, json=[1])

    assert seen == [b"[1]"]


@pytest.mark.parametrize(("library", "auth"), HTTPX)
def test_the_token_is_not_in_the_repr_of_what_was_sent(library, auth, source, api):
    with library.Client(auth=auth(source), verify=False) as client:
        request = client.get(api.url).request

    assert request.headers["Authorization"] == "Bearer access-1"
    assert "access-1" not in repr(request) + repr(request.headers)


def test_an_auth_of_one_httpx_is_refused_by_the_other(source):
    """Which is why there are two modules."""
    with pytest.raises(TypeError):
        httpx2.Client(auth=hourpass.client.auth.httpx.HourpassAuth(source), verify=False)
    with pytest.raises(TypeError):
        httpx.Client(auth=hourpass.client.auth.httpx2.HourpassAuth(source), verify=False)


def test_a_body_that_httpx_knows_nothing_about_is_not_replayed(source, api):
    class Own(httpx2.SyncByteStream):
        def __iter__(self):
            yield b"own"

    api.rejected = {"access-1"}
    with httpx2.Client(auth=hourpass.client.auth.httpx2.HourpassAuth(source), verify=False) as client:
        request = httpx2.Request("POST", api.url, stream=Own(), headers={"Host": "api", "Content-Length": "3"})
        assert client.send(request).status_code == 401

    assert [one.body for one in api.asked] == [b"own"]


# --- requests ---


@pytest.fixture
def session(source):
    with requests.Session() as session:
        session.trust_env = False
        session.auth = hourpass.client.auth.requests.HourpassAuth(source)
        yield session


@pytest.mark.parametrize("stream", [False, True])
def test_a_replay_goes_over_the_same_connection(session, api, stream):
    api.script = [(401, {})] * 2

    response = session.get(api.url, stream=stream)

    assert response.content == b"200"
    assert [earlier.status_code for earlier in response.history] == [401, 401]
    assert api.connections == 1


def test_the_cookies_of_a_401_are_kept(session, api):
    api.script = [(401, {"Set-Cookie": "sticky=1"})]

    assert session.get(api.url).status_code == 200
    assert session.cookies.get_dict() == {"sticky": "1"}


def test_a_prepared_request_that_is_sent_much_later_heals(session, api, clock, source):
    prepared = session.prepare_request(requests.Request("GET", api.url))
    assert session.send(prepared).status_code == 200
    for _ in range(2):
        clock.advance(3600)
        api.rejected.add(source.current.access_token)
        assert session.send(prepared).status_code == 200


def test_a_replayed_answer_is_what_the_caller_s_hooks_see(session, api):
    seen = []
    api.rejected = {"access-1"}

    session.get(api.url, hooks={"response": lambda response, **_: seen.append(response.status_code)})

    assert seen == [200]


# --- aiohttp ---


@pytest.mark.anyio
async def test_no_error_of_aiohttp_shows_the_token(source, api):
    api.script = [(403, {})]
    async with aiohttp.ClientSession(middlewares=[hourpass.client.auth.aiohttp.HourpassAuth(source)]) as session:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await session.get(api.url, raise_for_status=True)

    assert api.tokens == ["access-1"]
    assert "access-1" not in repr(caught.value) + str(caught.value)


@pytest.mark.anyio
async def test_an_aiohttp_replay_goes_over_the_same_connection(source, api):
    api.script = [(401, {})] * 2
    async with (
        aiohttp.ClientSession(middlewares=[hourpass.client.auth.aiohttp.HourpassAuth(source)]) as session,
        session.get(api.url) as response,
    ):
        assert response.status == 200

    assert api.connections == 1


@pytest.mark.anyio
async def test_a_401_before_the_end_of_the_body_begins_the_body_again(source, endpoint, tmp_path):
    """The server answers when it has seen the head. The file's writer must have ended before the file is rewound."""
    whole, bodies, served, handlers = b"x" * 8_000_000, [], asyncio.Event(), []

    async def serve(reader, writer):
        handlers.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Bearer access-1" in head:
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await served.wait()
        else:
            bodies.append(await reader.readexactly(len(whole)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            served.set()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    path = tmp_path / "body"
    path.write_bytes(whole)
    source.token()
    server = await asyncio.start_server(serve, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    source.allows = lambda asked: asked.startswith(url)
    async with (
        server,
        aiohttp.ClientSession(middlewares=[hourpass.client.auth.aiohttp.HourpassAuth(source)]) as session,
    ):
        with path.open("rb") as file:
            async with session.put(url, data=file) as response:
                assert response.status == 200
        await asyncio.gather(*handlers)

    assert bodies == [whole]
    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.anyio
async def test_one_aiohttp_auth_serves_threads_with_loops_of_their_own(source, api):
    auth, statuses = hourpass.client.auth.aiohttp.HourpassAuth(source), []

    async def ask():
        async with aiohttp.ClientSession(middlewares=[auth]) as session, session.get(api.url) as response:
            statuses.append(response.status)

    threads = [threading.Thread(target=asyncio.run, args=(ask(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)

    assert statuses == [200] * 3


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_aiohttp_sends_the_token_with_a_websockets_handshake(make, scheme):
    """RFC 6455 §4.1: the handshake is an HTTP request, and a 401 to it is answered as any other."""
    seen = []

    async def events(request):
        seen.append(request.headers.get("Authorization"))
        if seen[-1] == "Bearer access-1":
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    async def run():
        app = web.Application()
        app.router.add_get("/events", events)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        auth = hourpass.client.auth.aiohttp.HourpassAuth(make(origins=[f"{scheme}://127.0.0.1:{port}"]))
        try:
            async with (
                aiohttp.ClientSession(middlewares=[auth]) as session,
                session.ws_connect(f"ws://127.0.0.1:{port}/events") as socket,
            ):
                return await socket.receive_str()
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == "hello"
    assert seen == ["Bearer access-1", "Bearer access-2"]
