"""After the load: everything that was acknowledged is asked for again, on every node and in every copy of the database.

Each check returns what it looked at and what was wrong. The drill passes if the lists of faults are empty.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import httpx2
from tests.conftest import LOOKS_SECRET, ServerProcess
from tests.e2e.conftest import claims_of

from drill.cluster import Cluster
from drill.load import Lineage, Revoked
from drill.verdict import lineage_faults

T = TypeVar("T")

GRANTS = "select encode(grant_id, 'hex'), generation from grants where revoked_at is null"
DIGEST = """
select md5(string_agg(g::text, '' order by g.key_id, g.grant_id)),
  (select md5(string_agg(r::text, '' order by r.n)) from revocations r),
  (select md5(string_agg(k::text, '' order by k.key_id)) from api_keys k)
from grants g
"""


class Checks:
    """Asks the nodes, at most a few things at once."""

    def __init__(self, nodes: list[ServerProcess]) -> None:
        self._nodes = nodes
        self._http = httpx2.AsyncClient(timeout=15, verify=False)

    async def lineages(self, cluster: Cluster, lineages: list[Lineage]) -> list[str]:
        stored = dict(cluster.leader().run(GRANTS, "hourpass"))

        async def check(lineage: Lineage) -> list[str]:
            answers = []
            for node in self._nodes:
                answer = await self._http.post(f"{node.url}/auth/refresh", json={"refreshToken": lineage.token})
                if answer.status_code != 200:
                    return [f"refused: {answer.json().get('reason', answer.status_code)}"]
                claims = claims_of(answer.json()["refresh_token"])
                answers.append((claims["gen"], claims["jti"]))
            return lineage_faults(lineage.generation, stored.get(lineage.grant), answers)

        return await _all(check, lineages)

    async def revoked(self, revoked: list[Revoked]) -> list[str]:
        async def check(each: Revoked) -> list[str]:
            faults = []
            for node in self._nodes:
                refresh = await self._http.post(f"{node.url}/auth/refresh", json={"refreshToken": each.pair.token})
                if refresh.status_code != 400:
                    faults.append(f"a revoked refresh token got {refresh.status_code}")
                bearer = {"authorization": f"Bearer {each.pair.access_token}"}
                verify = await self._http.get(f"{node.url}/auth/verify", headers=bearer)
                if verify.status_code != 401:
                    faults.append(f"a revoked access token got {verify.status_code}")
                if each.api_key is not None:
                    exchange = await self._http.post(f"{node.url}/auth/api-key", json={"apiKey": each.api_key})
                    if exchange.status_code != 400:
                        faults.append(f"a revoked key got {exchange.status_code}")
            return faults

        return await _all(check, revoked)

    async def close(self) -> None:
        await self._http.aclose()


def copies(cluster: Cluster) -> list[str]:
    """Whether all servers hold the same."""
    cluster.wait(cluster.is_level, "the standbys to catch up", seconds=20)
    digests = {tuple(member.run(DIGEST, "hourpass")) for member in cluster.members}
    return [] if len(digests) == 1 else ["the copies of the database differ"]


def logs(nodes: list[ServerProcess]) -> list[str]:
    """Whether a node failed when it should have been unavailable, or logged a secret."""
    faults = []
    for node in nodes:
        content = node.log.read_bytes()
        if b"Traceback" in content:
            faults.append(f"{node.log.name}: a traceback")
        if LOOKS_SECRET.search(content):
            faults.append(f"{node.log.name}: a secret")
    return faults


async def _all(check: Callable[[T], Awaitable[list[str]]], items: Iterable[T]) -> list[str]:
    turns = asyncio.Semaphore(16)

    async def in_turn(item: T) -> list[str]:
        async with turns:
            return await check(item)

    found = Counter(fault for faults in await asyncio.gather(*map(in_turn, items)) for fault in faults)
    return [f"{number} × {fault}" for fault, number in found.items()]
