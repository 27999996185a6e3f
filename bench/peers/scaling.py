"""hourpass on PostgreSQL, with few and with many grants, and with one worker and with two.

Two workers share two cores with their database and the load, so their rate means little. But their CPU for a request
shows whether they get in each other's way.
"""

import contextlib
import functools
import statistics
import sys

from bench import postgres
from bench.grants import TOKENS
from bench.peers.contenders import Ours
from bench.peers.rows import EXCHANGES, in_both
from bench.table import Row, median, spread

FEW = 10_000

BUDGETED = 1_000_000
"""The budget is for so many grants. For more of them there is only a figure."""


def growth(options, work, database, turns, raw):
    """The rate of refreshes with few grants and with many."""
    count = options.grants_postgres
    loads = {}
    with contextlib.ExitStack() as running:
        for name, grants in (("few", FEW), ("many", count)):
            print(f"filling PostgreSQL with {grants:,} grants", file=sys.stderr)
            url = database.new_database(name)
            server = Ours(name, work / name, database=url, grants=grants, shuffled=True)
            running.callback(server.stop)
            database.run("vacuum analyze", name)
            database.run("checkpoint")
            loads[name] = functools.partial(server.refresh, options.seconds, 16)
            # Each grant once, as on SQLite: the first time, a page is read from its file and written whole to the log.
            turned = 0
            while turned < min(grants, TOKENS):
                turned += server.refresh(1, 16)["requests"]
        figures = raw["growth"] = turns.take(f"growth on PostgreSQL, {count:,} grants", loads)
    title = f"refresh rate with {count:,} grants / with {FEW:,} (PostgreSQL)"
    few, many = in_both(figures["few"], figures["many"])
    if not few:
        return [Row(title, None, note="failed in every round")]
    ratios = [m["per_second"] / f["per_second"] for f, m in zip(few, many, strict=True)]
    cpu = f"cpu {median(few, 'cpu_us'):.0f} and {median(many, 'cpu_us'):.0f} us"
    budget = (0.90, 0.97) if count == BUDGETED else ()
    return [Row(title, statistics.median(ratios), *budget, note=f"{spread(ratios)}, {cpu}")]


def workers(options, work, turns, raw):
    """`serve` with one worker and with two, each on a database of its own. No process is bound to a core."""
    rows = []
    with contextlib.ExitStack() as running:
        database = postgres.Postgres(work / "postgres-of-workers", core=None)
        running.callback(database.stop)
        servers = {}
        for name, count in (("one", 1), ("two", 2)):
            url = database.new_database(f"of_{name}")
            servers[name] = Ours(f"workers: {name}", work / f"workers-{name}", database=url, workers=count, core=None)
            running.callback(servers[name].stop)
        for what in EXCHANGES:
            runs = {
                name: postgres.with_database(database, getattr(server, what), options.seconds, 64, core=None)
                for name, server in servers.items()
            }
            figures = raw[f"workers, {what}"] = turns.take(f"{what} with one worker and with two", runs)
            rows += scaling(what, figures)
    return rows


def scaling(what, figures):
    cost = f"{what}, workers and database: CPU with one worker / with two"
    rate = f"{what}: rate of two workers / of one, all on these cores"
    one, two = in_both(figures["one"], figures["two"])
    if not one:
        return [Row(title, None, note="failed in every round") for title in (cost, rate)]
    took = [[each["cpu_us"] + each["database_us"] for each in figures] for figures in (one, two)]
    cpu = [a / b for a, b in zip(*took, strict=True)]
    rates = [b["per_second"] / a["per_second"] for a, b in zip(one, two, strict=True)]
    costs = f"{statistics.median(took[0]):.0f} / {statistics.median(took[1]):.0f} us, {spread(cpu)}"
    speed = f"{median(one, 'per_second'):.0f} and {median(two, 'per_second'):.0f}/s, {spread(rates)}"
    return [Row(cost, statistics.median(cpu), note=costs), Row(rate, statistics.median(rates), note=speed)]
