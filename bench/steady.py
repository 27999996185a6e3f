"""PostgreSQL at a low, steady rate: what a refresh costs when batches are small, and what it costs to wait for one.

`python -m bench.steady` prints only this. `make bench` has it in its table.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.grants import ISSUER, fill
from bench.postgres import Postgres
from bench.servers import Hourpass

CASES = [(1, 300), (1, 1_200), (4, 300), (4, 1_200)]
"""How many nodes, and how many refreshes per second over all of them."""

CONNECTIONS = 16
"""Connections for each node."""


def steady(work, *, seconds=10.0, idle_seconds=20.0, cases=CASES):
    """Figures by case: CPU microseconds for each refresh, and for `idle` percent of a core."""
    database = Postgres(work / "steady-pg", core=None)
    url = database.new_database("steady")
    count = max(nodes for nodes, _ in cases)
    nodes = [_start(work, url) for _ in range(count)]
    tokens = fill(work / "steady", nodes[0].key_id, 20_000, tokens=20_000, issuer=ISSUER, database=url)
    figures = {}
    for others in nodes[1:]:
        others.stop()
    nodes = nodes[:1]
    time.sleep(1)
    figures["idle"] = _over(nodes, database, lambda: time.sleep(idle_seconds), seconds=idle_seconds)
    for wanted, rate in sorted(cases):
        nodes += [_start(work, url) for _ in range(wanted - len(nodes))]
        shares = [tokens[number::wanted] for number in range(wanted)]
        figures[f"{wanted} x {rate // wanted}"] = _over(
            nodes, database, lambda n=list(nodes), s=shares, r=rate: _load(work, n, s, r, seconds)
        )
        tokens = [token for share in shares for token in share]
    for node in nodes:
        node.stop()
    database.stop()
    return figures


def _start(work, url):
    return Hourpass("steady", work / "steady", database=url, issuer=ISSUER, core=None)


def _load(work, nodes, shares, rate, seconds):
    def one(number):
        path = work / f"steady-{number}.txt"
        path.write_text("\n".join(shares[number]))
        more = {"tokens": path, "keep_tokens": True, "rate": rate / len(nodes), "core": None}
        told = nodes[number].load(seconds, CONNECTIONS, path="/auth/refresh", **more)
        shares[number] = path.read_text().split()
        return told

    with ThreadPoolExecutor(len(nodes)) as threads:
        told = list(threads.map(one, range(len(nodes))))
    return {
        "requests": sum(each["requests"] for each in told),
        "per_second": sum(each["per_second"] for each in told),
        "p99_ms": max(each["p99_ms"] for each in told),
    }


def _over(nodes, database, run, *, seconds=None):
    """What a run took, for each request, or as a share of one core if it only waits."""
    before = sum(node.cpu_seconds() for node in nodes), database.cpu_seconds()
    told = run() or {}
    after = sum(node.cpu_seconds() for node in nodes), database.cpu_seconds()
    node, data = (b - a for a, b in zip(before, after, strict=True))
    if seconds:
        return {"node_percent": node / seconds * 100, "database_percent": data / seconds * 100}
    return {**told, "node_us": node / told["requests"] * 1e6, "database_us": data / told["requests"] * 1e6}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="hourpass-bench-") as folder:
        print(json.dumps(steady(Path(folder), seconds=float(sys.argv[1]) if sys.argv[1:] else 10), indent=1))
