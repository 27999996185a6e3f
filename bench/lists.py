"""What the administration's questions cost among many keys, grants and lines of the audit trail, on both databases.

`python -m bench.lists` fills a database of each kind in about a minute and prints CPU time in milliseconds, of this
process and of its PostgreSQL backend: a busy machine adds to the time on the clock, but hardly to this.
"""

import argparse
import random
import tempfile
import time
from itertools import islice
from pathlib import Path

from bench.postgres import Postgres, binaries
from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.attention import LATELY
from hourpass.core.audit_filter import AuditFilter
from hourpass.core.grant import GrantRef
from hourpass.core.key_filter import KeyFilter
from hourpass.core.policy import DAY, MINUTE
from hourpass.core.stats import Stats, window
from hourpass.server.keys.api_keys import keys_with_uses
from hourpass.server.keys.listing import grants_page, keys_page
from hourpass.server.run.open import open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store import reading, transaction
from hourpass.server.store.api_keys import table_row
from hourpass.server.store.stats import GRANTS_IN_USE, Measured
from hourpass.server.store.tables import TABLES

NOW = 1_800_000_000_000
TOGETHER = 20_000
TABLE = {table.name: table for table in TABLES}
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TEAMS = ("billing", "search", "video", "ops")
EVENTS = ("key.created", "key.grants_closed", "refresh.retried_elsewhere", "key.rotated")


def fill(store, *, keys=100_000, grants=1_000_000, audit=1_000_000, nodes=8, seed=1):
    """Fill an empty database with rows as an installation of some years has them. Returns the ids of the keys."""
    chance = random.Random(seed)
    ids = sorted({"".join(chance.choices(DIGITS, k=12)) for _ in range(keys)})
    made = [_key(number, key_id, chance) for number, key_id in enumerate(ids)]
    _put(store, "api_keys", (table_row(TABLE["api_keys"], key) for key in made))
    _put(store, "key_secrets", ((secret.digest, key.key_id, *secret[1:]) for key in made for secret in key.secrets))
    _put(store, "key_uses", _uses(ids, chance))
    _put(store, "grants", _grants(ids, grants // len(ids), chance))
    _put(store, "audit", _audit(ids, audit, chance))
    with transaction(store):
        store.go_on_from(store.numbers()._replace(last_audit=audit))
        store.note_measured(GRANTS_IN_USE, Measured(grants, NOW))
        for node in range(nodes):
            store.add_stats(f"{node}", [(NOW // MINUTE - ago, Stats(*range(11))) for ago in range(1_440)])
    return ids


def _put(store, name, rows):
    rows = iter(rows)
    while page := list(islice(rows, TOGETHER)):
        with transaction(store):
            store.add_rows(TABLE[name], page)
        store.maintain()


def _key(number, key_id, chance):
    created_at = NOW - chance.randrange(700 * DAY)
    many = 2 if number % 100 == 7 else 1
    return ApiKey(
        key_id,
        f"Key {number} of {TEAMS[number % 4]}",
        f"acme/{number % 1000}",
        "videos.read videos.write",
        "production",
        None,
        None,
        (),
        created_at,
        expires_at=None if number % 3 else NOW + chance.randrange(-100, 400) * DAY,
        revoked_at=None if number % 20 else created_at + DAY,
        revoked_why=None if number % 20 else "revoked",
        disabled_at=created_at if number % 50 == 1 else None,
        tags=(("team", TEAMS[number % 4]), ("cost", str(number % 97))),
        external_id=f"ext-{number}" if number % 2 else None,
        secrets=tuple(KeySecret(chance.randbytes(32), n, created_at) for n in range(many)),
    )


def _uses(ids, chance):
    for number, key_id in enumerate(ids):
        for kind in ("exchanged", "refreshed", *(() if number % 7 else ("raw",))) if number % 10 else ():
            yield key_id, kind, NOW - chance.randrange(120 * DAY), b"\x7f\0\0\1"


def _grants(ids, each, chance):
    """One in forty has expired and is not pruned yet, and few were replayed."""
    for number, key_id in enumerate(ids):
        for at in sorted(NOW - chance.randrange(25 * DAY) for _ in range(each)):
            turn = chance.randrange(50)
            idle = NOW - 1 if (number + turn) % 40 == 0 else at + 30 * DAY
            replayed = turn == 49 and number % 100 == 3
            grant_id = at.to_bytes(6) + chance.randbytes(10)
            superseded = (at + 1).to_bytes(8) * min(turn, 3)
            end = (NOW - 1_000, "replayed") if replayed else (None, None)
            row = (turn, chance.randbytes(16), superseded, None, at, idle, at + 90 * DAY, *end)
            yield key_id, grant_id, *row, b"\x7f\0\0\1", b"\x7f\0\0\2", None


def _audit(ids, lines, chance):
    absent = (None,) * (len(TABLE["audit"].columns) - 6)
    for n in range(1, lines + 1):
        event = EVENTS[n % 4] if n % 50_000 else "grant.replayed"
        yield n, NOW - (lines - n) * 1_000, event, chance.choice(ids), None, '{"closed":3}', *absent


def questions(store, ids):
    """What a page or a list asks: its name, and how to ask."""
    shown, grant = window(24, NOW), store.grants_page(GrantRef(ids[len(ids) // 2], b""), 1)[0]

    def keys(**wanted):
        return lambda: keys_page(store, KeyFilter(**wanted), NOW)

    return {
        "every key judged, as before": lambda: [
            key for key, uses in keys_with_uses(store) if KeyFilter(state="revoked").takes(key, NOW, uses)
        ],
        "keys": keys(),
        "keys by state": keys(state="expired"),
        "keys of a subject": keys(subject="acme/77"),
        "keys by how the subject begins": keys(subject_prefix="acme/99"),
        "a key by its external id": keys(external_id="ext-777"),
        "keys by two tags": keys(tags=(("team", "billing"), ("cost", "96"))),
        "keys that expire soon": keys(expires_before=NOW + DAY),
        "keys that were sent themselves": keys(raw_since=NOW - DAY),
        "keys that were not used for long": keys(unused_since=NOW - 119 * DAY),
        "keys that were used, none of them": keys(unused_since=1),
        "keys whose next secret waits": keys(next_secret_waits=True),
        "keys by a text": keys(text="KEY 77 OF"),
        "keys by a text, none of them": keys(text="nothing at all"),
        "how many keys are in each state": lambda: store.key_numbers(NOW),
        "how many keys were sent themselves": lambda: store.raw_numbers(NOW),
        "grants of a key": lambda: grants_page(store, NOW, key_id=ids[7]),
        "grants": lambda: grants_page(store, NOW),
        "grants that expired": lambda: grants_page(store, NOW, state="expired"),
        "grants in a state that none has": lambda: grants_page(store, NOW, state="restored"),
        "a grant by its id alone": lambda: store.find_grant(grant.grant_id),
        "how many grants can refresh": lambda: store.measured(GRANTS_IN_USE),
        "the same, counted": lambda: store.count_live_grants(NOW),
        "the trail of a grant": lambda: store.newest_audit(AuditFilter(grant_id=grant.grant_id.hex()), 500),
        "the trail of a key": lambda: store.newest_audit(AuditFilter(key_id=ids[7]), 50),
        "the trail of a rare event": lambda: store.newest_audit(AuditFilter(event="grant.replayed"), 50),
        "the trail of an actor": lambda: store.newest_audit(AuditFilter(actor="cli:nobody"), 50),
        "replays of a day": lambda: store.count_audit("grant.replayed", NOW - LATELY),
        "a day in points": lambda: store.stats_since(shown.first, shown.width),
    }


def cost(ask, backend=None, rounds=3):
    """The CPU milliseconds of the best round, in this thread and in a process beside it."""

    def spent():
        beside = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9 if backend else 0
        return time.thread_time() + beside

    best = float("inf")
    for _ in range(rounds):
        began = spent()
        ask()
        best = min(best, spent() - began)
    return best * 1e3


def measure(url, folder, **size):
    """Each question with its cost on one database."""
    store = open_store(Settings(data=str(folder), database_url=url, durability="normal"))
    store.migrate(NOW)
    ids = fill(store, **size)
    backend = None
    if url.startswith("postgresql"):
        # In one process, so that all of its CPU time is seen. A search in parallel is faster by the clock.
        store._execute("vacuum analyze")
        store._execute("set max_parallel_workers_per_gather = 0")
        backend = store._db.info.backend_pid
    with reading(store):
        costs = {name: cost(ask, backend) for name, ask in questions(store, ids).items()}
    store.close()
    return costs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("keys", 100_000), ("grants", 1_000_000), ("audit", 1_000_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    size = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="hourpass-bench-") as folder:
        found = {"SQLite": measure(f"sqlite:{folder}/hourpass.db", folder, **size)}
        if binaries() is not None:
            postgres = Postgres(Path(folder) / "postgres", core=None)
            try:
                found["PostgreSQL"] = measure(postgres.new_database("lists"), folder, **size)
            finally:
                postgres.stop()
    print(f"{'CPU ms':36}" + "".join(f"{name:>12}" for name in found))
    for question in found["SQLite"]:
        print(f"{question:36}" + "".join(f"{costs[question]:12.1f}" for costs in found.values()))


if __name__ == "__main__":
    main()
