"""hourpass on PostgreSQL: as grants become many, and as nodes become two.

Two nodes share the two cores with their database and the load, so their rate says little; what they take for a request
says whether they get in each other's way.
"""

import contextlib
import functools
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor

from bench import postgres
from bench.grants import ISSUER, TOKENS
from bench.peers.contenders import Ours
from bench.peers.rows import EXCHANGES, in_both
from bench.table import Row, median, spread

FEW = 10_000

BUDGETED = 1_000_000
"""The budget is for so many; of more there is a figure."""


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
            # Each once, as on SQLite: the first time is when a page is read from its file and logged whole.
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


def nodes(options, work, turns, raw):
    """One node and two on the same database, nothing bound to a core."""
    rows = []
    with contextlib.ExitStack() as running:
        database = postgres.Postgres(work / "postgres-of-nodes", core=None)
        running.callback(database.stop)
        url = database.new_database("nodes")
        servers = []
        for number in (1, 2):
            # One folder, so one master key; each refreshes grants of its own.
            server = Ours(f"node {number}", work / "nodes", database=url, issuer=ISSUER, core=None)
            running.callback(server.stop)
            servers.append(server)
        for what in EXCHANGES:
            figures = raw[f"nodes, {what}"] = turns.take(
                f"{what} on one node and on two",
                {
                    name: functools.partial(together, database, taking, what, options.seconds)
                    for name, taking in (("one", servers[:1]), ("two", servers))
                },
            )
            rows += scaling(what, figures)
    return rows


def together(database, servers, what, seconds, connections=64):
    """The sum of loads at the same time, each with its share of the connections; `cpu_us` counts the database, too."""
    before = database.cpu_seconds()
    with ThreadPoolExecutor() as threads:
        loads = [
            threads.submit(getattr(server, what), seconds, connections // len(servers), core=None) for server in servers
        ]
        figures = [load.result() for load in loads]
    requests = sum(each["requests"] for each in figures)
    own = sum(each["cpu_us"] * each["requests"] for each in figures) / requests
    return {
        "requests": requests,
        "per_second": sum(each["per_second"] for each in figures),
        "cpu_us": own + (database.cpu_seconds() - before) / requests * 1e6,
    }


def scaling(what, figures):
    cost = f"{what}, nodes and database: CPU on one node / on two"
    rate = f"{what}: rate of two nodes / of one, all on these cores"
    one, two = in_both(figures["one"], figures["two"])
    if not one:
        return [Row(title, None, note="failed in every round") for title in (cost, rate)]
    cpu = [a["cpu_us"] / b["cpu_us"] for a, b in zip(one, two, strict=True)]
    rates = [b["per_second"] / a["per_second"] for a, b in zip(one, two, strict=True)]
    took = f"{median(one, 'cpu_us'):.0f} / {median(two, 'cpu_us'):.0f} us, {spread(cpu)}"
    speed = f"{median(one, 'per_second'):.0f} and {median(two, 'per_second'):.0f}/s, {spread(rates)}"
    return [Row(cost, statistics.median(cpu), note=took), Row(rate, statistics.median(rates), note=speed)]
