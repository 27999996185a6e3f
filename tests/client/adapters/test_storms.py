"""Many requests at once, through one adapter: one refresh for all of them, and nobody waits for an open response."""

import asyncio
import threading

import aiohttp
import httpx2
import pytest
from tests.client.adapters.clients import CLIENTS
from tests.e2e.conftest import claims_of

from hourpass.client import TokenSource
from hourpass.client.auth.aiohttp import HourpassAuth as AiohttpAuth
from hourpass.client.auth.httpx2 import HourpassAuth


@pytest.fixture
def many(library):
    """How many at once: over 200, the connection pool of the classic httpx takes seconds by itself."""
    return 60 if library in ("httpx", "httpx async") else 200


def on_the_loop(library, source):
    if library == "httpx2":
        return httpx2.AsyncClient(auth=HourpassAuth(source), verify=False, timeout=10)
    return aiohttp.ClientSession(middlewares=[AiohttpAuth(source)])


def status_of(response):
    return response.status if isinstance(response, aiohttp.ClientResponse) else response.status_code


def test_200_requests_in_flight_with_a_dead_token_make_1_refresh_and_200_replays(client, api, endpoint, source, many):
    """No answer comes before all of them have arrived."""
    source.token()
    api.rejected, api.gate = {"access-1"}, threading.Barrier(many)

    assert {reply.status for reply in client.send_many(many, "GET", api.url)} == {200}
    assert sorted(api.tokens) == ["access-1"] * many + ["access-2"] * many
    assert endpoint.paths == ["api-key", "refresh"]


def test_a_real_server_that_revokes_the_token_sees_1_refresh_and_200_successes(open_client, serve, many):
    server = serve(exchange_limit=0)
    with TokenSource(server.url, server.create_key()["api_key"]) as source:
        client, dead = open_client(source), source.token()
        httpx2.post(f"{server.url}/oauth/revoke", data={"token": dead}, verify=False).raise_for_status()

        replies = client.send_many(many, "GET", f"{server.url}/auth/verify")

        assert {reply.status for reply in replies} == {204}
        assert (source.counts["exchanged"], source.counts["refreshed"]) == (1, 1)
        assert claims_of(source.token())["sid"] == claims_of(dead)["sid"], "the same grant"


def test_while_a_stream_is_open_50_posts_go_on_and_a_refresh_among_them(api, source, endpoint):
    """A lock held across an open response would stop them."""
    auth = HourpassAuth(source)
    with (
        httpx2.Client(auth=auth, verify=False, timeout=10) as client,
        client.stream("GET", f"{api.url}/stream") as stream,
    ):
        events = stream.iter_lines()
        assert next(events) == "data: tick"
        posts = [client.post(api.url, json={"number": number}).status_code for number in range(25)]
        api.rejected = {"access-1"}
        posts += [client.post(api.url, json={"number": number}).status_code for number in range(25)]
        assert next(line for line in events if line) == "data: tick", "it is still open"
        api.ended.set()
        assert [line for line in events if line][-1] == "data: end"

    assert posts == [200] * 50
    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.anyio
@pytest.mark.parametrize("library", ["httpx2", "aiohttp"])
async def test_while_a_stream_is_open_on_the_loop_50_posts_go_on(api, source, endpoint, library):
    client = on_the_loop(library, source)
    url = f"{api.url}/stream"

    async def post():
        return status_of(await client.post(api.url, json={"number": 1}))

    async with client, client.stream("GET", url) if library == "httpx2" else client.get(url) as stream:
        lines = aiter(stream.aiter_lines() if library == "httpx2" else stream.content)
        assert "tick" in str(await anext(lines))
        api.rejected = {"access-1"}
        assert await asyncio.gather(*[post() for _ in range(50)]) == [200] * 50
        assert "tick" in "".join([str(await anext(lines)) for _ in range(2)])
        api.ended.set()

    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.parametrize("library", ["httpx2 async", "httpx async", "aiohttp"])
def test_two_event_loops_in_two_threads_share_one_source(library, source, api, endpoint):
    source.token()
    api.rejected, api.gate = {"access-1"}, threading.Barrier(40)
    replies = []

    def one_loop():
        client = CLIENTS[library](source)
        replies.extend(client.send_many(20, "GET", api.url))
        client.close()

    threads = [threading.Thread(target=one_loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [reply.status for reply in replies] == [200] * 40
    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.anyio
@pytest.mark.parametrize("library", ["httpx2", "aiohttp"])
async def test_a_cancelled_request_does_not_cancel_the_refresh_that_others_wait_for(api, source, endpoint, library):
    source.token()
    api.rejected = {"access-1"}
    endpoint.open.clear()
    async with on_the_loop(library, source) as client:
        hasty, patient = asyncio.ensure_future(client.get(api.url)), asyncio.ensure_future(client.get(api.url))
        while source.counts["posting"] < 2:
            await asyncio.sleep(0.005)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        endpoint.open.set()
        assert status_of(await patient) == 200

    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.anyio
@pytest.mark.parametrize("library", ["httpx2", "aiohttp"])
async def test_while_a_request_waits_for_a_refresh_the_loop_runs(api, source, endpoint, library):
    endpoint.open.clear()
    async with on_the_loop(library, source) as client:
        waiting = asyncio.ensure_future(client.get(api.url))
        while not source.counts["posting"]:
            await asyncio.sleep(0.005)
        assert not waiting.done(), "and here we are, while it waits"
        endpoint.open.set()
        await waiting
