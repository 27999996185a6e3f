"""Polls for events: nobody holds all connections with one admin key."""

import asyncio

import pytest
from tests.admin.conftest import refused

from hourpass.server.endpoints.admin_api import MOST_POLLS

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
