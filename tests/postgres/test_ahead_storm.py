"""After a failover that lost a write, clients come with tokens that are ahead: others are hardly held up by them."""

import asyncio
import time
from statistics import median

import httpx2
import psycopg
import pytest
from tests.e2e.conftest import PLAIN, claims_of

CLIENTS = 32
STORM = 8
"""Requests that the one client with a token of a lost write always has under way: it asks again at once."""

ROUND = 0.75
"""Seconds. Rounds with and without the storm take turns, so that a busy machine slows both alike."""

ROUNDS = 8
"""At most. The best one counts, so the first that is good is the last."""

LEAST = 0.5
"""Of the honest throughput, in the best round. By fair shares 0.8 is left, and a busy machine may take from that."""


def rewind(database, nodes, http, api_key: str) -> str:
    """A refresh token whose rotation the database has lost."""
    first = http.post(f"{nodes[0].url}/auth/api-key", json={"apiKey": api_key}).json()["refresh_token"]
    which = bytes.fromhex(claims_of(first)["sid"])
    with psycopg.connect(database.url) as db:
        before = db.execute("select generation, superseded from grants where grant_id = %s", [which]).fetchone()
        db.commit()
        lost = http.post(f"{nodes[1].url}/auth/refresh", json={"refreshToken": first}).json()["refresh_token"]
        db.execute("update grants set generation = %s, superseded = %s where grant_id = %s", [*before, which])
    return lost


@pytest.mark.anyio
async def test_one_client_that_storms_with_a_token_of_a_lost_write_holds_up_the_others_little(nodes, own_database):
    three = [nodes.start() for _ in range(3)]
    urls = [node.url for node in three]
    key, other = (nodes.create_key()["api_key"] for _ in range(2))
    with httpx2.Client(**PLAIN) as http:
        ahead = rewind(own_database, three, http, other)
        opened = [http.post(f"{urls[0]}/auth/api-key", json={"apiKey": key}).json() for _ in range(CLIENTS)]
    tokens = [pair["refresh_token"] for pair in opened]
    reasons: list[str] = []

    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=CLIENTS + STORM), **PLAIN) as client:

        async def honest(number: int, until: float) -> int:
            count = 0
            while time.monotonic() < until:
                url = urls[(number + count) % 3]
                answer = await client.post(f"{url}/auth/refresh", json={"refreshToken": tokens[number]})
                tokens[number] = answer.raise_for_status().json()["refresh_token"]
                count += 1
            return count

        async def storm(number: int, until: float) -> int:
            while time.monotonic() < until:
                answer = await client.post(f"{urls[number % 3]}/auth/refresh", json={"refreshToken": ahead})
                assert answer.status_code == 400
                reasons.append(answer.json()["reason"])
            return 0

        async def rate(stormers: int) -> float:
            until = time.monotonic() + ROUND
            work = [*(honest(n, until) for n in range(CLIENTS)), *(storm(n, until) for n in range(stormers))]
            return sum(await asyncio.gather(*work)) / ROUND

        await rate(0)
        rounds: list[tuple[float, float]] = []
        ratios: list[float] = []
        while len(rounds) < ROUNDS and max(ratios, default=0) <= LEAST:
            alone, with_storm = await rate(0), await rate(STORM)
            rounds.append((alone, with_storm))
            ratios.append(with_storm / alone)

    print("honest refreshes a second:", *(f"{alone:.0f} -> {with_storm:.0f}" for alone, with_storm in rounds))
    print(
        f"share: median {median(ratios):.2f}, best {max(ratios):.2f}; ahead: {len(reasons) / ROUND / len(rounds):.0f}/s"
    )
    assert set(reasons) == {"ahead"}
    assert max(ratios) > LEAST
