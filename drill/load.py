"""The clients of the drill: they refresh, revoke and verify through two nodes, and remember what was acknowledged.

A client that gets no answer asks the other node for the same thing again. Each lineage of tokens has one client, which
checks that every answer is the very next generation.
"""

import asyncio
import contextlib
import itertools
import json
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
from tests.conftest import ServerProcess
from tests.e2e.conftest import claims_of, generation

from drill.verdict import Record

CLIENTS, LINEAGES = 24, 12
"""How many lineages each client has. It refreshes them in turn."""

ROUND = 9.0
"""Seconds between two refreshes of a lineage. A grant that rotates more than eight times a minute writes nothing."""

PAUSE = 0.5
"""The longest pause, in seconds, before a client asks the other node. It has full jitter."""


@dataclass
class Lineage:
    """What one client knows of one grant."""

    token: str
    access_token: str
    lost: bool = False

    @property
    def grant(self) -> str:
        return str(claims_of(self.token)["sid"])

    @property
    def generation(self) -> int:
        return generation(self.token)


@dataclass
class Revoked:
    """A revocation that was acknowledged: of a grant, or with `api_key` of a whole key."""

    pair: Lineage
    api_key: str | None = None


class Refused(Exception):
    """An answer that sends an honest client away: a violation, already recorded."""


class Crowd:
    """All clients. `record` and what was acknowledged are read while they run.

    `operate` runs the operator's command.
    """

    def __init__(
        self, nodes: list[ServerProcess], api_key: str, operate: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        self.record = Record()
        self.lineages: list[Lineage] = []
        self.revoked: list[Revoked] = []
        self.key_revoked = asyncio.Event()
        self._nodes = nodes
        self._api_key = api_key
        self._operate = operate
        self._random = random.Random(18)  # the same jitter in every run
        self._http = httpx2.AsyncClient(timeout=15, limits=httpx2.Limits(max_connections=None), verify=False)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the lineages, then begin to refresh."""
        self.lineages = [await self._exchange(self._api_key) for _ in range(CLIENTS * LINEAGES)]
        work = [self._refresh_for_ever(self.lineages[n::CLIENTS]) for n in range(CLIENTS)]
        work += [self._revoke_grants(), self._revoke_keys()]
        work += [self._verify_for_ever(node) for node in self._nodes]
        self._tasks = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        """Stop all clients at once. An answer under way is lost, as when a client is killed."""
        broken = [task.exception() for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()
        if broken:
            raise RuntimeError("a client of the drill ended") from broken[0]

    # What they do.

    async def _refresh_for_ever(self, lineages: list[Lineage]) -> None:
        await asyncio.sleep(self._random.uniform(0, ROUND / LINEAGES))
        for lineage in itertools.cycle(lineages):
            began = time.monotonic()
            if not lineage.lost:
                with contextlib.suppress(Refused):
                    await self._refresh(lineage)
            await asyncio.sleep(max(0.0, began + ROUND / LINEAGES - time.monotonic()))

    async def _refresh(self, lineage: Lineage) -> None:
        began = time.monotonic()
        try:
            pair = await self._ask("refresh", "/auth/refresh", json={"refreshToken": lineage.token})
        except Refused:
            lineage.lost = True
            raise
        now = time.monotonic()
        self.record.refreshed.append(now)
        self.record.waits.append((now, now - began))
        answer = Lineage(pair["refresh_token"], pair["access_token"])
        if (answer.grant, answer.generation) != (lineage.grant, lineage.generation + 1):
            self.record.violations.append(f"refresh: generation {answer.generation} for {lineage.generation}")
        lineage.token, lineage.access_token = answer.token, answer.access_token

    async def _revoke_grants(self) -> None:
        while True:
            with contextlib.suppress(Refused):
                pair = await self._exchange(self._api_key)
                await self._ask("revoke", "/oauth/revoke", data={"token": pair.token})
                self.revoked.append(Revoked(pair))
            await asyncio.sleep(0.2)

    async def _revoke_keys(self) -> None:
        """Make a key, use it, revoke it with the operator's command."""
        while True:
            with contextlib.suppress(Refused):
                made = await self._command("keys create", "--name", "doomed")
                pair = await self._exchange(made["api_key"])
                await self._command("keys revoke", made["key_id"])
                self.revoked.append(Revoked(pair, made["api_key"]))
                self.key_revoked.set()
            await asyncio.sleep(1)

    async def _verify_for_ever(self, node: ServerProcess) -> None:
        """A proxy before an API. It sends one request for each of its own, and never asks again."""
        lineage = self.lineages[0]
        while True:
            headers = {"authorization": f"Bearer {lineage.access_token}"}
            with contextlib.suppress(Refused):
                if await self._ask_once("verify", "GET", f"{node.url}/auth/verify", headers=headers) is not None:
                    self.record.verified.append(time.monotonic())
            await asyncio.sleep(0.1)

    # How they ask.

    async def _exchange(self, api_key: str) -> Lineage:
        pair = await self._ask("exchange", "/auth/api-key", json={"apiKey": api_key})
        return Lineage(pair["refresh_token"], pair["access_token"])

    async def _ask(self, what: str, path: str, **content: object) -> dict[str, str]:
        """Ask until there is an answer, each time the other node. The result is empty if the answer is."""
        first = self._random.randrange(len(self._nodes))
        for attempt in itertools.count(first):
            node = self._nodes[attempt % len(self._nodes)]
            answer = await self._ask_once(what, "POST", node.url + path, **content)
            if answer is not None:
                return answer.json() if answer.content else {}
            await asyncio.sleep(self._random.uniform(0, PAUSE))
        raise AssertionError

    async def _ask_once(self, what: str, method: str, url: str, **content: object) -> httpx2.Response | None:
        try:
            answer = await self._http.request(method, url, **content)
        except httpx2.TimeoutException:
            kind = "timed out"
        except httpx2.ConnectError:
            kind = "connection refused"
        except httpx2.TransportError:
            kind = "connection lost"
        else:
            if answer.is_success:
                return answer
            kind = str(answer.status_code)
            if answer.status_code != 503:
                self.record.trouble(time.monotonic(), what, f"{kind} {answer.text[:200]}")
                raise Refused
        self.record.trouble(time.monotonic(), what, kind)
        return None

    async def _command(self, words: str, *arguments: str) -> dict[str, str]:
        """Run the operator's command until it succeeds."""
        while True:
            done = await asyncio.to_thread(self._operate, *words.split(), *arguments, "--json")
            if done.returncode == 0:
                made: dict[str, str] = json.loads(done.stdout)
                return made
            crashed = "Traceback" in done.stderr
            self.record.trouble(time.monotonic(), words, "crashed" if crashed else f"exit {done.returncode}")
            await asyncio.sleep(self._random.uniform(0, PAUSE))
