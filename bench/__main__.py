"""`make bench`: hourpass's figures as ratios inside one interleaved run, then those beside its peers.

Prints a table with the budgets, writes bench/results/<date>.json and .svg. ARGS="--rounds 3 --seconds 2" shortens it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.grants import ISSUER, TOKENS, Refreshing, database_mb, fill
from bench.latency import latency
from bench.peers.__main__ import main as measure_peers
from bench.proxy import forward_auth, nginx_binary
from bench.servers import SERVER_CORE, Hourpass, Trivial, pinned
from bench.table import Row, interleaved, keep, median, show, spread

DEFAULT_SERVER = "uvicorn"
"""The budgets are for what people get; the other server's figures are shown beside them."""


def measure(options, work):
    rows, raw = [], {}
    seconds, rounds = options.seconds, options.rounds

    print("parts, alone", file=sys.stderr)
    process = pinned([sys.executable, "-m", "bench.parts", str(work)], SERVER_CORE, stdout=subprocess.PIPE)
    parts = raw["parts"] = json.loads(process.communicate(timeout=300)[0])

    for http_server in ("uvicorn", "granian"):
        budgets = http_server == DEFAULT_SERVER
        trivial = Trivial(http_server)
        server = Hourpass(http_server, work / http_server, http_server=http_server, issuer=ISSUER)
        normal = Hourpass("normal", work / f"{http_server}-normal", http_server=http_server, durability="normal")
        idle = server.memory_mb()
        access_token = server.exchange_once()["access_token"]
        ordered, shuffled = Refreshing(server, TOKENS), Refreshing(server, TOKENS, shuffled=True)

        for connections in (16, 64):
            print(f"{http_server}, {connections} connections", file=sys.stderr)
            figures = interleaved(
                rounds,
                {
                    "trivial post": lambda c=connections, t=trivial: t.post(seconds, c),
                    "exchange": lambda c=connections, s=server: s.exchange(seconds, c),
                    "exchange, normal": lambda c=connections, s=normal: s.exchange(seconds, c),
                    "refresh": lambda c=connections, r=ordered: r.load(seconds, c),
                    "refresh in any order": lambda c=connections, r=shuffled: r.load(seconds, c),
                    "trivial get": lambda c=connections, t=trivial: t.get(seconds, c),
                    "verify": lambda c=connections, s=server, t=access_token: s.verify(seconds, c, t),
                },
            )
            raw[f"{http_server} c{connections}"] = figures
            cpu = {name: median(runs, "cpu_us") for name, runs in figures.items()}
            where = f"{http_server}, {connections} connections"
            limits = {
                "exchange": cpu["trivial post"] + parts["sign_us"] + parts[f"insert_{connections}_us"],
                "refresh": cpu["trivial post"] + parts["sign_us"] + parts[f"update_{connections}_us"],
                "verify": cpu["trivial get"],
            }
            for name, what, first, aim in (
                ("exchange", "exchange: limit / exchange", 0.70, 0.85),
                ("refresh", "refresh: limit / refresh", 0.72, 0.85),
                ("verify", "forward auth, cached: trivial GET / verify", 0.80, 0.92),
            ):
                speed = median(figures[name], "per_second")
                note = f"{limits[name]:.0f} / {cpu[name]:.0f} us, {speed:.0f}/s"
                budget = (first, aim) if budgets else ()
                rows.append(Row(f"{what} ({where})", limits[name] / cpu[name], *budget, note=note))
            note = f"{cpu['refresh in any order']:.0f} us"
            value = limits["refresh"] / cpu["refresh in any order"]
            rows.append(Row(f"refresh, the grants in any order ({where})", value, note=note))
            if connections == 64:
                ratios = [
                    full["per_second"] / norm["per_second"]
                    for full, norm in zip(figures["exchange"], figures["exchange, normal"], strict=True)
                ]
                full_to_normal = statistics.median(ratios)
                budget = (0.85, 0.95) if budgets else ()
                rows.append(Row(f"FULL / NORMAL, exchange ({where})", full_to_normal, *budget, note=spread(ratios)))
                for name in ("exchange", "refresh"):
                    tails = [figure["p99_ms"] / figure["p50_ms"] for figure in figures[name]]
                    worst = f"p50 {median(figures[name], 'p50_ms'):.1f}, p99 {median(figures[name], 'p99_ms'):.1f} ms"
                    tail = statistics.median(tails)
                    budget = (5.0, 2.5) if budgets else ()
                    rows.append(Row(f"p99 / p50 of the {name} ({where})", tail, *budget, note=worst, at_most=True))
        rows.append(
            Row(f"memory, idle server, MB ({http_server})", idle, *((100, 60) if budgets else ()), at_most=True)
        )
        for each in (trivial, server, normal):
            each.stop()

    rows += behind_nginx(options, work, raw) if nginx_binary() else []
    rows.append(Row("in-process guard, cached token, us", parts["guard_us"], 1.0, 0.5, at_most=True))
    figures = raw["revoke to refuse"] = latency(work)
    note = f"p50 {figures['p50_ms']:.1f}, worst {figures['max_ms']:.1f} ms, {figures['verifiers']} processes"
    rows.append(Row("revoke to refuse everywhere, p99, ms", figures["p99_ms"], 1000, 100, note, at_most=True))
    rows += growth(options, work, raw)
    return rows, raw


def behind_nginx(options, work, raw):
    rows = []
    for http_server in ("uvicorn", "granian"):
        for connections in (16, 64):
            where = f"{http_server}, {connections} connections"
            print(f"nginx before {where}", file=sys.stderr)
            folder = work / f"nginx-{http_server}-{connections}"
            figures = forward_auth(folder, http_server, connections, options.seconds, options.rounds, interleaved)
            raw[f"nginx, {where}"] = figures
            ratios = [h["per_second"] / k["per_second"] for h, k in zip(*figures.values(), strict=True)]
            name = f"nginx auth_request: hourpass / constant ({where})"
            budget = (0.75, 0.90) if http_server == DEFAULT_SERVER else ()
            rows.append(Row(name, statistics.median(ratios), *budget, note=spread(ratios)))
    return rows


def growth(options, work, raw):
    print(f"growth: 10 k and {options.grants:,} grants", file=sys.stderr)
    servers = {name: Hourpass(name, work / name, issuer=ISSUER) for name in ("few", "many")}
    few = Refreshing(servers["few"], 10_000, shuffled=True)
    many = Refreshing(servers["many"], options.grants, shuffled=True)
    figures = interleaved(
        max(3, options.rounds // 2),
        {"few": lambda: few.load(options.seconds, 16), "many": lambda: many.load(options.seconds, 16)},
    )
    raw["growth"] = figures
    ratios = [m["per_second"] / f["per_second"] for f, m in zip(figures["few"], figures["many"], strict=True)]
    cpu = f"cpu {median(figures['few'], 'cpu_us'):.0f} and {median(figures['many'], 'cpu_us'):.0f} us"
    rows = [Row(f"refresh rate with {options.grants:,} grants / with 10 k", statistics.median(ratios), 0.90, 0.97, cpu)]
    for server in servers.values():
        server.stop()

    print("disk: grants refreshed 24 times", file=sys.stderr)
    folder = work / "disk"
    count = max(10_000, options.grants // 10)
    fill(folder, "vLN4aeuHv8ZP", count, refreshes=24)
    megabytes = database_mb(folder) / count * 1e6
    note = f"{count:,} grants measured, {megabytes:.0f} bytes each"
    rows.append(Row("disk for 1 M grants after 24 refreshes each, MB", megabytes, 150, 60, note, at_most=True))
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
