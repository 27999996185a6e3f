"""`make drill`: figures of a failover and a switchover, and whether anything acknowledged was lost.

Prints a table and adds the run to bench/results/failover-<date>.json.
The exit code is 0 if nothing was lost, else 1.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from bench.table import machine
from tests.conftest import ServerProcess, clean_environment, run_command

from drill.checks import Checks, copies, logs
from drill.cluster import TIMES, Cluster, Member, require_tools
from drill.load import CLIENTS, LINEAGES, Crowd

RESULTS = Path(__file__).parent.parent / "bench" / "results"
LIMIT = 230
"""Seconds after which the drill gives up."""

BUSY = 10
"""How many refreshes must succeed in the second before a fault. With fewer, the fault would not hit anybody."""


def say(words: str) -> None:
    """Tell people how far it is. Only the figures go to standard output."""
    print(words, file=sys.stderr, flush=True)


class Drill:
    """One run, in a folder of its own."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._cluster = Cluster(folder, synchronous=not options.asynchronous)
        self._nodes: list[ServerProcess] = []
        self._options = options

    async def run(self) -> dict[str, object]:
        """All parts, one after the other."""
        cluster = self._cluster
        say("three PostgreSQL servers under Patroni")
        await asyncio.to_thread(cluster.start)
        await asyncio.to_thread(cluster.leader().run, "create database hourpass")
        say("two nodes, and their clients")
        await asyncio.to_thread(self._start_nodes)
        key = json.loads(self._operate("keys", "create", "--name", "drill", "--json").stdout)
        crowd = Crowd(self._nodes, key["api_key"], self._operate)
        try:
            await crowd.start()
            await asyncio.sleep(5)
            parts = {
                "kill -9": await self._kill(crowd),
                "switchover": await self._switchover(crowd),
                "hang": await self._hang(crowd),
            }
        finally:
            await crowd.stop()
        say("checks")
        return await self._judge(crowd, parts)

    async def _kill(self, crowd: Crowd) -> dict[str, object]:
        """Kill (-9) the leader just after a key was revoked. Later it comes back."""
        leader = self._cluster.leader()
        crowd.key_revoked.clear()
        async with asyncio.timeout(30):
            await crowd.key_revoked.wait()
        if self._options.asynchronous:
            leader.stop_sending()
            await asyncio.sleep(2)
        say(f"kill -9: {leader.name} and its Patroni")
        return await self._part(crowd, leader, leader.kill, then=leader.start)

    async def _switchover(self, crowd: Crowd) -> dict[str, object]:
        """The leader hands over to a standby, as before maintenance, and follows it."""
        leader, candidate = self._cluster.leader(), self._cluster.next_leader()
        say(f"switchover: {leader.name} to {candidate.name}")
        return await self._part(crowd, leader, lambda: leader.ask_switchover(candidate.name))

    async def _hang(self, crowd: Crowd) -> dict[str, object]:
        """Freeze the leader. When another one leads, it wakes up and still thinks that it is the leader."""
        leader = self._cluster.leader()
        say(f"hang: {leader.name} and its Patroni")
        return await self._part(crowd, leader, leader.freeze, then=leader.thaw)

    async def _part(
        self, crowd: Crowd, old: Member, fault: Callable[[], None], then: Callable[[], None] | None = None
    ) -> dict[str, object]:
        """The figures of a change of the leader, until the old one follows the new one."""
        at = time.monotonic()
        await asyncio.to_thread(fault)
        await self._until(lambda: self._led_by_another(old), "a new leader")
        figures: dict[str, object] = {"new_leader_s": round(time.monotonic() - at, 1)}
        await self._until_steady(crowd)
        if then is not None:
            then()
        rejoined = await self._until(self._cluster.is_whole, f"{old.name} to follow")
        figures |= {"rejoined_s": round(rejoined, 1)} if then is not None else {}
        return {**figures, **crowd.record.part(at, time.monotonic())}

    def _led_by_another(self, old: Member) -> bool:
        leader = self._cluster.member_in("leader")
        return leader is not None and leader is not old

    async def _until(self, condition: Callable[[], bool], what: str) -> float:
        return await asyncio.to_thread(self._cluster.wait, condition, what, seconds=60)

    async def _until_steady(self, crowd: Crowd) -> None:
        """Until the clients have refreshed several times again."""
        enough = len(crowd.record.refreshed) + 5 * CLIENTS
        async with asyncio.timeout(40):
            while len(crowd.record.refreshed) < enough:
                await asyncio.sleep(0.1)

    def _start_nodes(self) -> None:
        self._environment = {"HOURPASS_MASTER_KEY": b64encode(os.urandom(32)).decode()}
        self._database = self._cluster.url("hourpass")
        for number in (1, 2):
            flags = {
                "database": self._database,
                "issuer": "https://auth.example.com",
                "exchange-limit": 0,
                "revocation-staleness": self._options.staleness,
            }
            name = self._folder / f"node{number}"
            self._nodes.append(ServerProcess(name, name.with_suffix(".log"), flags, self._environment).start())

    def _operate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the operator's command, which also finds the leader by itself."""
        where = ("--data", str(self._folder / "operator"), "--database", self._database)
        return run_command(*arguments, *where, check=False, env=clean_environment(**self._environment))

    async def _judge(self, crowd: Crowd, parts: dict[str, dict]) -> dict[str, object]:
        checks = Checks(self._nodes)
        faults = {
            "what clients met": sorted(set(crowd.record.violations)),
            "acknowledged refreshes": await checks.lineages(self._cluster, crowd.lineages),
            "acknowledged revocations": await checks.revoked(crowd.revoked),
            "copies of the database": await asyncio.to_thread(copies, self._cluster),
            "the nodes' logs": logs(self._nodes),
        }
        await checks.close()
        keys = sum(each.api_key is not None for each in crowd.revoked)
        busy = all(part["refreshes_in_the_last_second"] >= BUSY for part in parts.values())
        faults["the load"] = [] if busy and keys and len(crowd.revoked) > keys else ["too little to show anything"]
        return {
            "parts": parts,
            "acknowledged": {
                "refreshes": len(crowd.record.refreshed),
                "revoked grants": len(crowd.revoked) - keys,
                "revoked keys": keys,
            },
            "grants_falsely_lost": sum(lineage.lost for lineage in crowd.lineages),
            "faults": faults,
        }

    def end(self) -> None:
        """End what was started."""
        for node in self._nodes:
            node.kill()
        self._cluster.end()


ROWS = {
    "gap_s": "longest time without a refresh, s",
    "longest_wait_s": "longest wait of one client, s",
    "verify_gap_s": "longest time without a verified request, s",
    "new_leader_s": "until another server leads, s",
    "rejoined_s": "from its return until the old one follows, s",
    "refreshes": "refreshes in this part",
    "refreshes_in_the_last_second": "of them in the second before",
}


def show(result: dict) -> str:
    """The table for people."""
    parts = result["parts"]
    lines = [f"{'':44}" + "".join(f"{name:>12}" for name in parts)]
    lines += [
        f"{words:44}" + "".join(f"{part.get(row, ''):>12}" for part in parts.values()) for row, words in ROWS.items()
    ]
    kinds = sorted({kind for part in parts.values() for kind in part["errors"]})
    lines += [f"{kind:44}" + "".join(f"{part['errors'].get(kind, 0):12}" for part in parts.values()) for kind in kinds]
    lines += ["", *(f"acknowledged {what}: {number}" for what, number in result["acknowledged"].items())]
    lines.append(f"grants falsely lost: {result['grants_falsely_lost']}")
    lines += [f"{what}: {'; '.join(faults) or 'nothing wrong'}" for what, faults in result["faults"].items()]
    return "\n".join(lines)


def keep(run: dict) -> None:
    """Add a run to today's."""
    date = dt.datetime.now(dt.UTC).date().isoformat()
    path = RESULTS / f"failover-{date}.json"
    load = {"clients": CLIENTS, "grants": CLIENTS * LINEAGES}
    result = {"date": date, "machine": machine(), "patroni": TIMES, "load": load, "runs": []}
    if path.exists():
        result["runs"] = json.loads(path.read_text())["runs"]
    result["runs"].append(run)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nadded to bench/results/{path.name}")


async def drill(options: argparse.Namespace) -> dict:
    """Run it in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="hourpass-drill-", ignore_cleanup_errors=True) as folder:
        run = Drill(Path(folder), options)
        try:
            async with asyncio.timeout(LIMIT):
                return await run.run()
        finally:
            run.end()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="drill", description=__doc__)
    parser.add_argument("--staleness", type=int, default=10, metavar="S", help="the nodes' revocation_staleness [10]")
    counter_test = "the counter-test: nobody waits for standbys and they are cut off, so the drill has to fail"
    parser.add_argument("--asynchronous", action="store_true", help=counter_test)
    options = parser.parse_args()
    try:
        require_tools()
    except RuntimeError as error:
        sys.exit(str(error))
    began = time.monotonic()
    result = asyncio.run(drill(options))
    print(show(result))
    faults = [fault for found in result["faults"].values() for fault in found]
    if not options.asynchronous:
        keep({**vars(options), "seconds": round(time.monotonic() - began), **result})
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
