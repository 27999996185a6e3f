"""`make bench`: every figure that needs no peer, as ratios inside one interleaved run.

Prints a table with the budgets, writes bench/results/<date>.json and .svg. ARGS="--rounds 3 --seconds 2" shortens it.
"""

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.grants import database_mb, fill
from bench.latency import latency
from bench.plot import plot
from bench.proxy import forward_auth, nginx_binary
from bench.servers import SERVER_CORE, Hourpass, Trivial, pinned

RESULTS = Path(__file__).parent / "results"


def median(rounds, name):
    return statistics.median(figures[name] for figures in rounds)


def spread(values):
    return f"{min(values):.2f}–{max(values):.2f}"


class Row:
    """One line of the table: a figure, its budgets, and whether the first one holds."""

    def __init__(self, name, value, first, aim, note="", *, at_most=False):
        self.name, self.value, self.first, self.aim, self.note, self.at_most = name, value, first, aim, note, at_most

    def holds(self, budget):
        return self.value <= budget if self.at_most else self.value >= budget


def interleaved(rounds, contenders):
    """Run each contender once a round: name -> its figures, round by round."""
    figures = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            figures[name].append(run())
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    return figures


def measure(options, work):
    rows, raw = [], {}
    seconds, rounds = options.seconds, options.rounds

    print("parts, alone", file=sys.stderr)
    process = pinned([sys.executable, "-m", "bench.parts", str(work)], SERVER_CORE, stdout=subprocess.PIPE)
    parts = raw["parts"] = json.loads(process.communicate(timeout=300)[0])

    for http_server in ("uvicorn", "granian"):
        trivial = Trivial(http_server)
        server = Hourpass(http_server, work / http_server, http_server=http_server)
        normal = Hourpass("normal", work / f"{http_server}-normal", http_server=http_server, durability="normal")
        idle = server.memory_mb()
        pairs = [server.exchange_once() for _ in range(200)]
        tokens = work / f"{http_server}.tokens"
        tokens.write_text("\n".join(pair["refresh_token"] for pair in pairs))
        access_token = pairs[0]["access_token"]

        def refresh(connections, server=server, tokens=tokens):
            tokens.write_text("\n".join(server.exchange_once()["refresh_token"] for _ in range(200)))
            return server.refresh(seconds, connections, tokens)

        for connections in (16, 64):
            print(f"{http_server}, {connections} connections", file=sys.stderr)
            figures = interleaved(
                rounds,
                {
                    "trivial post": lambda c=connections, t=trivial: t.post(seconds, c),
                    "exchange": lambda c=connections, s=server: s.exchange(seconds, c),
                    "exchange, normal": lambda c=connections, s=normal: s.exchange(seconds, c),
                    "refresh": lambda c=connections: refresh(c),
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
                rows.append(Row(f"{what} ({where})", limits[name] / cpu[name], first, aim, note))
            if connections == 64:
                ratios = [
                    full["per_second"] / norm["per_second"]
                    for full, norm in zip(figures["exchange"], figures["exchange, normal"], strict=True)
                ]
                full_to_normal = statistics.median(ratios)
                rows.append(Row(f"FULL / NORMAL, exchange ({where})", full_to_normal, 0.85, 0.95, spread(ratios)))
                for name in ("exchange", "refresh"):
                    tails = [figure["p99_ms"] / figure["p50_ms"] for figure in figures[name]]
                    worst = f"p50 {median(figures[name], 'p50_ms'):.1f}, p99 {median(figures[name], 'p99_ms'):.1f} ms"
                    tail = statistics.median(tails)
                    rows.append(Row(f"p99 / p50 of the {name} ({where})", tail, 5.0, 2.5, worst, at_most=True))
        rows.append(Row(f"memory, idle server, MB ({http_server})", idle, 100, 60, at_most=True))
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
            rows.append(Row(name, statistics.median(ratios), 0.75, 0.90, spread(ratios)))
    return rows


def growth(options, work, raw):
    print(f"growth: 10 k and {options.grants:,} grants", file=sys.stderr)
    servers, tokens = {}, {}
    for name, count in (("few", 10_000), ("many", options.grants)):
        server = servers[name] = Hourpass(name, work / name, issuer="http://bench")
        tokens[name] = fill(work / name, server.key_id, count, tokens=min(count, 100_000), issuer="http://bench")

    def load(name):
        figures = servers[name].refresh(options.seconds, 16, tokens[name])
        # Each run takes the next tokens of the list; those it used have moved on.
        rest = tokens[name].read_text().split()[figures["requests"] :]
        if len(rest) < 30_000:
            rest = fresh(name)
        tokens[name].write_text("\n".join(rest))
        return figures

    def fresh(name):
        return fill(work / name, servers[name].key_id, 40_000, tokens=40_000, issuer="http://bench").read_text().split()

    figures = interleaved(max(3, options.rounds // 2), {"few": lambda: load("few"), "many": lambda: load("many")})
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


def show(rows):
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  measured   first     aim"]
    for row in rows:
        sign = "≤" if row.at_most else "≥"
        mark = "ok " if row.holds(row.first) else "NO "
        mark = "aim" if row.holds(row.aim) else mark
        lines.append(
            f"{row.name:{width}}  {row.value:8.2f}  {sign}{row.first:6.2f}  {sign}{row.aim:6.2f}  {mark}  {row.note}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--grants", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="write bench/results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hourpass-bench-") as folder:
        rows, raw = measure(options, Path(folder))
    print(show(rows))
    now = dt.datetime.now(dt.UTC)
    machine = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "cpu": cpu_name(),
        "system": platform.system(),
    }
    result = {
        "date": now.date().isoformat(),
        "machine": machine,
        "options": {"rounds": options.rounds, "seconds": options.seconds, "grants": options.grants},
        "rows": [vars(row) for row in rows],
        "raw": raw,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now.date().isoformat()}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    plot(rows, path.with_suffix(".svg"))
    print(f"\nwritten: bench/results/{path.name} and .svg")
    return 0 if all(row.holds(row.first) for row in rows) else 1


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
