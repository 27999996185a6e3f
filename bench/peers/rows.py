"""Makes rows from figures: how many times our CPU a peer needs for a request. The budgets are aims of the design.

A contender's figures are one for each round, None for a round that failed.
"""

import statistics

from bench.table import Row, median, spread

EXCHANGES = ("exchange", "refresh")

BUDGETS = {
    ("exchange", "simplejwt"): (8, 15),
    ("refresh", "simplejwt"): (20, 40),
    ("exchange", "oidc-provider"): (3, 6),
    ("refresh", "oidc-provider"): (3, 6),
    ("verify", "FastAPI + PyJWT"): (8, 12),
}


def in_both(one, other):
    """The rounds that succeeded for both."""
    rounds = [(a, b) for a, b in zip(one, other, strict=True) if a and b]
    return [a for a, _ in rounds], [b for _, b in rounds]


def ratio(title, theirs, ours, budget=()):
    """The ratio of their CPU for a request to ours. The note has both, the spread, and the ratio of rates."""
    theirs, ours = in_both(theirs, ours)
    if not ours:
        return Row(title, None, *budget, note="failed in every round")
    ratios = [t["cpu_us"] / o["cpu_us"] for t, o in zip(theirs, ours, strict=True)]
    rates = statistics.median(o["per_second"] / t["per_second"] for t, o in zip(theirs, ours, strict=True))
    cpu = f"{median(theirs, 'cpu_us'):.0f} / {median(ours, 'cpu_us'):.0f} us, {spread(ratios)}"
    note = f"{cpu}; {rates:.1f} times the rate, {median(ours, 'per_second'):.0f}/s"
    return Row(title, statistics.median(ratios), *budget, note=note)


def side_by_side(what, connections, figures, absent):
    """A row for each peer. If one is absent, its row says why."""
    rows = []
    for name in [*(name for name in figures if not name.startswith("hourpass")), *absent]:
        title, budget = f"{what}: {name} / hourpass ({connections} connections)", BUDGETS.get((what, name), ())
        if name in absent:
            rows.append(Row(title, None, *budget, note=absent[name]))
        elif name != "FastAPI + hourpass":
            rows.append(ratio(title, figures[name], figures["hourpass"], budget))
    return rows


def on_postgres(what, connections, figures):
    """What a request costs the node and the database, separately."""
    title = f"{what} on PostgreSQL, us ({connections} connections)"
    runs, sqlite = in_both(figures["hourpass, PostgreSQL"], figures["hourpass"])
    if not runs:
        return Row(title, None, note="failed in every round")
    node, database = median(runs, "cpu_us"), median(runs, "database_us")
    speed = f"{median(runs, 'per_second'):.0f}/s; on SQLite {median(sqlite, 'cpu_us'):.0f}"
    return Row(title, node + database, note=f"node {node:.0f}, database {database:.0f}, {speed}")


def in_an_api(connections, figures):
    title = f"an API on FastAPI: PyJWT in it / our middleware ({connections} connections)"
    return ratio(title, figures["FastAPI + PyJWT"], figures["FastAPI + hourpass"])


def in_process(us):
    """Ratios of the check alone. The design has an aim for it, and no first budget."""
    seen, new = us["pyjwt_us"] / us["verify_us"], us["pyjwt_us"] / us["verify_new_us"]
    added = us["dependency_us"] / us["middleware_us"]
    return [
        Row(
            "check alone: PyJWT / Verifier.verify on a token seen before",
            seen,
            note=f"{us['pyjwt_us']:.0f} / {us['verify_us']:.2f} us; the aim is 50",
        ),
        Row(
            "check alone: PyJWT / Verifier.verify on a new token",
            new,
            note=f"{us['pyjwt_us']:.0f} / {us['verify_new_us']:.0f} us",
        ),
        Row(
            "in process: what the PyJWT dependency adds / our ASGI middleware",
            added,
            note=f"{us['dependency_us']:.0f} / {us['middleware_us']:.1f} us",
        ),
    ]
