"""kill -9 under load, twenty times: every acknowledged change holds, and a client without an answer asks again.

contract.md, promises 1, 3 and 4.
"""

import asyncio
import random

import httpx2
import pytest
from tests.e2e.conftest import claims_of, generation, refresh

from hourpass.core.grant import GrantRef
from hourpass.core.policy import RING_SIZE
from hourpass.server.store.sqlite import SqliteStore

KILLS = 20
CLIENTS = 16


class Client:
    """Exchanges, refreshes as often as a grant rotates within its window, and begins again. It repeats what got lost.

    Only it knows its tokens, so each answer must bring the very next generation.
    """

    def __init__(self, http: httpx2.AsyncClient, api_key: str) -> None:
        self._http = http
        self._api_key = api_key
        self.acknowledged: dict[str, str] = {}
        self.lost = 0

    async def run(self) -> None:
        while True:
            token = (await self._ask("/auth/api-key", {"apiKey": self._api_key}))["refresh_token"]
            grant = claims_of(token)["sid"]
            self.acknowledged[grant] = token
            for presented in range(RING_SIZE):
                token = (await self._ask("/auth/refresh", {"refreshToken": token}))["refresh_token"]
                assert (claims_of(token)["sid"], generation(token)) == (grant, presented + 1)
                self.acknowledged[grant] = token

    async def _ask(self, path: str, body: dict) -> dict:
        while True:
            await asyncio.sleep(0.01)  # room for the server to start again on a small machine
            try:
                answer = await self._http.post(path, json=body)
            except httpx2.ConnectError:
                await asyncio.sleep(0.1)
            except httpx2.TransportError:
                self.lost += 1
            else:
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 200:
                    return answer.json()


def stored_generations(server) -> dict[str, int]:
    """The row of every grant that still lives."""
    store = SqliteStore(server.data / "hourpass.db")
    store.begin_reading()
    grants = store.grants_page(GrantRef("", b""), 1_000_000)
    store.close()
    return {grant.grant_id.hex(): grant.generation for grant in grants if grant.revoked_at is None}


@pytest.mark.anyio
async def test_twenty_kills_under_load_lose_nothing_that_was_acknowledged(serve):
    server = serve(exchange_limit=0)
    api_key = server.create_key()["api_key"]
    doomed = [server.create_key() for _ in range(KILLS // 5)]
    moments = random.Random(20)
    async with httpx2.AsyncClient(base_url=server.url, timeout=10) as http:
        clients = [Client(http, api_key) for _ in range(CLIENTS)]
        load = [asyncio.create_task(client.run()) for client in clients]
        for number in range(KILLS):
            await asyncio.sleep(moments.uniform(0.05, 0.25))
            revoked = doomed[number // 5] if number % 5 == 0 else None
            if revoked:
                await asyncio.to_thread(server.command, "keys", "revoke", revoked["key_id"])
            server.kill()
            await asyncio.to_thread(server.restart)
            if revoked:
                refused = await http.post("/auth/api-key", json={"apiKey": revoked["api_key"]})
                assert (refused.status_code, refused.json()["reason"]) == (400, "revoked")
        assert not any(task.done() for task in load), [task.exception() for task in load if task.done()]
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)

    acknowledged = {grant: token for client in clients for grant, token in client.acknowledged.items()}
    stored = stored_generations(server)
    assert acknowledged.keys() <= stored.keys()
    ahead = {grant: stored[grant] - generation(token) for grant, token in acknowledged.items()}
    assert set(ahead.values()) <= {0, 1}, "never below what was acknowledged, and no second lineage above it"
    for client in clients:
        token = list(client.acknowledged.values())[-1]
        assert refresh(server, token).status_code == 200
    # That the kills hit requests under way, or the test would have shown nothing.
    assert sum(client.lost for client in clients) >= KILLS // 2
    assert len(acknowledged) > 100
