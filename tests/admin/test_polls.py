"""Calls that wait, such as polls for events: nobody holds all connections with one admin key, or with several."""

import asyncio
import contextlib

import httpx2
import pytest
from tests.admin.conftest import refused

from hourpass.server.endpoints import admin_listener
from hourpass.server.endpoints.admin_api import MOST_IMPORTS, MOST_POLLS
from hourpass.server.run.admin_calls import MOST_AT_ONCE

pytestmark = pytest.mark.anyio


async def test_only_so_many_polls_of_a_key_wait_and_the_next_is_answered_at_once(server, admin, owner):
    news = server.app.issuer.ledger.news
    last = (await owner.get("events")).json()["last"]

    async def poll(client):
        return (await client.get("events", params={"after": last, "wait": 30})).json()

    async with asyncio.timeout(10):
        waiting = [asyncio.ensure_future(poll(owner)) for _ in range(MOST_POLLS)]
        while news.waiting < MOST_POLLS:
            await asyncio.sleep(0.001)
        assert (await poll(owner))["data"] == []

        await server.create_key()
        news.seen(last + 1)
        answers = await asyncio.gather(*waiting)

    assert all(answer["data"] for answer in answers)


@contextlib.asynccontextmanager
async def polling(news, *callers):
    """All polls that may wait with these callers' keys wait."""
    last = (await callers[0].get("events")).json()["last"]
    ask = {"after": last, "wait": 30}
    polls = [asyncio.ensure_future(each.get("events", params=ask)) for each in callers for _ in range(MOST_POLLS)]
    async with asyncio.timeout(20):
        while news.waiting < len(polls):
            await asyncio.sleep(0.001)
        yield
        news.seen(last + 1)
        news.close()
        assert [each.status_code for each in await asyncio.gather(*polls)] == [200] * len(polls)


async def test_a_caller_has_so_many_calls_under_way_and_the_next_is_429_while_others_are_answered(server, admin, owner):
    other, key_id = await admin.called("owner"), (await owner.get("me")).json()["key_id"]

    with contextlib.ExitStack() as under_way:
        for _ in range(MOST_AT_ONCE):
            under_way.enter_context(admin.app._work.calls.admit(f"key:{key_id}", server.app.time.timer()))
        too_many = await owner.get("me")
        assert (await other.get("me")).status_code == 200

    assert refused(too_many) == (429, "too_many_requests")
    assert too_many.headers["retry-after"] == "1"
    assert (await owner.get("me")).status_code == 200


async def test_a_caller_has_so_many_imports_under_way_and_the_next_is_429(admin, owner):
    is_sent, begun, sized = asyncio.Event(), [], {"content-length": "19"}

    async def body():
        begun.append(1)
        await is_sent.wait()
        yield b'{"name": "nothing"}'

    async with asyncio.timeout(20):
        imports = [
            asyncio.ensure_future(owner.post("keys/import", content=body(), headers=sized)) for _ in range(MOST_IMPORTS)
        ]
        while len(begun) < MOST_IMPORTS:
            await asyncio.sleep(0.001)
        too_many = await owner.post("keys/import", content=b"{}")
        assert (await owner.get("me")).status_code == 200
        is_sent.set()
        assert [each.status_code for each in await asyncio.gather(*imports)] == [200] * MOST_IMPORTS

    assert refused(too_many) == (429, "too_many_requests")
    assert (await owner.post("keys/import", content=b"{}")).status_code == 200


async def test_when_as_many_requests_are_under_way_as_may_be_the_next_is_503_and_a_probe_is_answered(server, admin):
    news = server.app.issuer.ledger.news
    callers = [await admin.called("auditor") for _ in range(admin_listener.MOST_AT_ONCE // MOST_POLLS)]
    probe = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=admin.app), base_url="http://admin")

    async with polling(news, *callers):
        one_more = await callers[0].get("me")
        probes = [(await probe.get(path)).status_code for path in ("/health/live", "/health/ready", "/metrics")]

    assert one_more.status_code == 503
    assert one_more.headers["retry-after"] == "1"
    assert one_more.json()["request_id"] == one_more.headers["x-request-id"]
    assert probes == [200] * 3
    assert (await callers[0].get("me")).status_code == 200
    assert admin_listener.MOST_AT_ONCE < admin_listener.CONNECTIONS


async def test_a_poll_waits_for_news_if_the_newest_lines_are_gone(server, owner):
    """As after a failover that lost them. It does not ask the database again and again meanwhile."""
    news = server.app.issuer.ledger.news
    last = (await owner.get("events")).json()["last"]
    news.seen(last + 100)

    async with asyncio.timeout(20):
        poll = asyncio.ensure_future(owner.get("events", params={"after": last, "wait": 30}))
        while not news.waiting:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
            assert news.waiting == 1
        await server.create_key()
        news.seen(last + 101)
        answer = (await poll).json()

    assert [each["number"] for each in answer["data"]] == [last + 1]


async def test_a_poll_that_waits_ends_with_its_token_and_tells_no_news(server, admin, owner):
    news, reader = server.app.issuer.ledger.news, await admin.called("auditor")
    last = (await reader.get("events")).json()["last"]

    async with asyncio.timeout(10):
        waiting = asyncio.ensure_future(reader.get("events", params={"after": last, "wait": 30}))
        while not news.waiting:
            await asyncio.sleep(0.001)
        token = reader.headers["authorization"].removeprefix("Bearer ")
        assert (await owner.post("tokens/revoke", json={"token": token})).status_code == 200
        await server.create_key(name="unheard of")
        news.seen(last + 2)
        answer = await waiting

    assert answer.status_code == 401
    assert "unheard of" not in answer.text


@pytest.mark.parametrize("path", ["events", "audit"])
async def test_a_program_that_is_ahead_of_the_trail_is_told_at_once(server, owner, path):
    """After a restore. Otherwise it would wait until the trail has got so far, and miss what came meanwhile."""
    last = (await owner.get("events")).json()["last"]
    wait = {"wait": 30} if path == "events" else {}

    assert (await owner.get(path, params={"after": last})).json()["last"] == last
    async with asyncio.timeout(5):
        ahead = await owner.get(path, params={"after": last + 1, **wait})

    assert refused(ahead) == (409, "ahead_of_trail")
    assert ahead.json()["detail"].startswith(f"the trail ends at line {last} and not at {last + 1}")
