"""kill -9 of nodes and of PostgreSQL under load: every acknowledged change holds, and lost answers are repeated.

contract.md, promises 1, 3 and 4. The database syncs every write here.
"""

import asyncio
import os
import random
import time
from contextlib import asynccontextmanager

import httpx2
import pytest
from tests.e2e.conftest import claims_of, generation, refresh

from hourpass.core.policy import RING_SIZE

pytestmark = pytest.mark.anyio

REFRESHES = int(os.environ.get("REFRESHES", "10000"))
"""Each takes 5 ms of a core, so only a release waits for ten times as many."""


class Client:
    """Exchanges, refreshes as often as a grant rotates within its window, and begins again, each time on any node.

    It repeats what got lost. Only it knows its tokens, so each answer must bring the very next generation.
    """

    def __init__(self, http: httpx2.AsyncClient, urls: list[str], api_key: str, seed: int, pause: float) -> None:
        self._http = http
        self._urls = urls
        self._api_key = api_key
        self._random = random.Random(seed)
        self._pause = pause
        self.acknowledged: dict[str, str] = {}
        self.lost = 0
        self.refreshed = 0

    async def run(self) -> None:
        while True:
            token = (await self._ask("/auth/api-key", {"apiKey": self._api_key}))["refresh_token"]
            grant = claims_of(token)["sid"]
            self.acknowledged[grant] = token
            for presented in range(RING_SIZE):
                token = (await self._ask("/auth/refresh", {"refreshToken": token}))["refresh_token"]
                assert (claims_of(token)["sid"], generation(token)) == (grant, presented + 1)
                self.acknowledged[grant] = token
                self.refreshed += 1

    async def _ask(self, path: str, body: dict) -> dict:
        while True:
            await asyncio.sleep(self._pause)  # room for a server to start again on a small machine
            try:
                answer = await self._http.post(self._random.choice(self._urls) + path, json=body)
            except httpx2.ConnectError:
                await asyncio.sleep(0.02)
            except httpx2.TransportError:
                self.lost += 1
            else:
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 200:
                    return answer.json()


@asynccontextmanager
async def crowd_on(nodes, *, clients: int, pause: float):
    """Clients that ask all nodes without a pause. At the end none of them may have met a violation."""
    api_key = nodes.create_key()["api_key"]
    urls = [node.url for node in nodes.running]
    limits = httpx2.Limits(max_connections=clients)
    async with httpx2.AsyncClient(timeout=15, limits=limits, verify=False) as http:
        crowd = [Client(http, urls, api_key, seed, pause) for seed in range(clients)]
        load = [asyncio.create_task(client.run()) for client in crowd]
        try:
            yield crowd
            assert not any(task.done() for task in load), [task.exception() for task in load if task.done()]
        finally:
            for task in load:
                task.cancel()
            await asyncio.gather(*load, return_exceptions=True)


def require_nothing_lost(nodes, crowd: list[Client]) -> None:
    acknowledged = {grant: token for client in crowd for grant, token in client.acknowledged.items()}
    stored = nodes.generations()
    assert acknowledged.keys() <= stored.keys(), "no grant was falsely lost"
    ahead = {grant: stored[grant] - generation(token) for grant, token in acknowledged.items()}
    assert set(ahead.values()) <= {0, 1}, "never below what was acknowledged, and no second lineage above it"
    for client in crowd[:16]:
        token = list(client.acknowledged.values())[-1]
        assert {refresh(node, token).status_code for node in nodes.running} == {200}


def refreshed(crowd: list[Client]) -> int:
    return sum(client.refreshed for client in crowd)


def lost(crowd: list[Client]) -> int:
    return sum(client.lost for client in crowd)


async def until_refreshed(crowd: list[Client], enough: int) -> None:
    async with asyncio.timeout(30):
        while refreshed(crowd) < enough:
            await asyncio.sleep(0.02)


async def kill_any(nodes, moments: random.Random) -> None:
    await asyncio.sleep(moments.uniform(0.1, 0.5))
    victim = moments.choice(nodes.running)
    victim.kill()
    await asyncio.to_thread(victim.restart)


async def test_nodes_that_are_killed_under_load_lose_nothing_that_was_acknowledged(nodes):
    nodes.start()
    nodes.start()
    doomed, moments = nodes.create_key(), random.Random(20)

    async with crowd_on(nodes, clients=16, pause=0.01) as crowd:
        for number in range(8):
            if number == 4:
                await asyncio.to_thread(nodes.command, "keys", "revoke", doomed["key_id"])
            await kill_any(nodes, moments)

    require_nothing_lost(nodes, crowd)
    for node in nodes.running:
        answer = httpx2.post(f"{node.url}/auth/api-key", json={"apiKey": doomed["api_key"]}, verify=False)
        assert answer.json()["reason"] == "revoked"
    # That the kills hit requests under way, or the test would have shown nothing.
    assert lost(crowd) >= 4
    assert refreshed(crowd) > 300


async def test_a_database_that_is_killed_under_load_loses_nothing_that_was_acknowledged(nodes, own_database):
    nodes.start()
    nodes.start()

    async with crowd_on(nodes, clients=8, pause=0.01) as crowd:
        for enough in (50, 100, 150):
            await until_refreshed(crowd, enough)
            own_database.cluster.kill()
            await asyncio.to_thread(own_database.cluster.start)
        await until_refreshed(crowd, 200)

    require_nothing_lost(nodes, crowd)


@pytest.mark.timeout(1_500)
@pytest.mark.slow
async def test_thousands_of_refreshes_over_three_nodes_killed_again_and_again_lose_nothing(nodes):
    for _ in range(3):
        nodes.start(grants_per_key=1_000_000)  # at the cap, grants are closed by right
    moments, end = random.Random(7), time.monotonic() + 1_200

    async with crowd_on(nodes, clients=48, pause=0.001) as crowd:
        while refreshed(crowd) < REFRESHES:
            assert time.monotonic() < end
            await kill_any(nodes, moments)

    require_nothing_lost(nodes, crowd)
    assert lost(crowd) >= 20
