"""Fills an empty database with rows as an installation of some years has them: keys, grants, and an audit trail."""

import random
from itertools import islice

from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.grant import GRANT_ID_ENTROPY, new_grant_id
from hourpass.core.policy import DAY, MINUTE, SECOND
from hourpass.core.stats import Stats
from hourpass.server.store import transaction
from hourpass.server.store.api_keys import table_row
from hourpass.server.store.stats import GRANTS_IN_USE, Measured
from hourpass.server.store.tables import TABLES

NOW = 1_800_000_000_000
TOGETHER = 20_000
TABLE = {table.name: table for table in TABLES}
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TEAMS = ("billing", "search", "video", "ops")
EVENTS = ("key.created", "key.grants_closed", "refresh.retried_elsewhere", "key.rotated")
RARE = 50_000
"""One line in so many tells of a replay, and another one was written by an actor who has few."""

WEBHOOK = "wh_bench"
BUSY = 10_000
"""Grants of the busiest key: as many as one may have by default."""


def fill(store, *, keys=100_000, grants=1_000_000, audit=1_000_000, nodes=8, seed=1):
    """Fill a database. Returns the ids of the keys: the first one is the busiest."""
    chance = random.Random(seed)
    ids = sorted({"".join(chance.choices(DIGITS, k=12)) for _ in range(keys)})
    made = [_key(number, key_id, chance) for number, key_id in enumerate(ids)]
    _put(store, "api_keys", (table_row(TABLE["api_keys"], key) for key in made))
    _put(store, "key_secrets", ((secret.digest, key.key_id, *secret[1:]) for key in made for secret in key.secrets))
    _put(store, "key_uses", _uses(ids, chance))
    _put(store, "grants", _grants(ids, grants, chance))
    first = store.control().last_audit + 1
    _put(store, "audit", _audit(ids, first, audit, chance))
    _put(store, "webhooks", [(WEBHOOK, "https://example.com/", "", "", NOW, "00" * 32, audit, 0, None, None, None)])
    _put(
        store,
        "webhook_deliveries",
        ((WEBHOOK, NOW - n * MINUTE, audit - n, "key.created", "delivered", 200, 9) for n in range(1_000)),
    )
    with transaction(store):
        store.go_on_from(store.numbers()._replace(last_audit=first + audit))
        store.note_measured(GRANTS_IN_USE, Measured(grants, NOW))
        for node in range(nodes):
            store.add_stats(f"{node}", [(NOW // MINUTE - ago, Stats(*range(11))) for ago in range(7 * 1_440)])
    return ids


def _put(store, name, rows):
    rows = iter(rows)
    while page := list(islice(rows, TOGETHER)):
        with transaction(store):
            store.add_rows(TABLE[name], page)
        store.maintain()


def _key(number, key_id, chance):
    """One of many keys. Each name has a letter beyond ASCII, which no database can be left to compare."""
    created_at = NOW - chance.randrange(700 * DAY)
    many = 2 if number % 100 == 7 else 1
    return ApiKey(
        key_id,
        f"Schlüssel {number} of {TEAMS[number % 4]}",
        f"acme/{number % 1000}",
        "videos.read videos.write",
        "production",
        None,
        None,
        (),
        created_at,
        expires_at=None if number % 3 else NOW + chance.randrange(-100, 400) * DAY,
        revoked_at=created_at + DAY if number % 20 == 19 else None,
        revoked_why="revoked" if number % 20 == 19 else None,
        disabled_at=created_at if number % 50 == 1 else None,
        tags=(("team", TEAMS[number % 4]), ("cost", str(number % 97))),
        external_id=f"ext-{number}" if number % 2 else None,
        secrets=tuple(KeySecret(chance.randbytes(32), n, created_at) for n in range(many)),
    )


def _uses(ids, chance):
    for number, key_id in enumerate(ids):
        for kind in ("exchanged", "refreshed", *(() if number % 7 else ("raw",))) if number % 10 else ():
            yield key_id, kind, NOW - chance.randrange(120 * DAY), b"\x7f\0\0\1"


def _grants(ids, grants, chance):
    """One in forty has expired and is not pruned yet, and few were replayed."""
    each = grants // len(ids)
    for number, key_id in enumerate(ids):
        many = min(BUSY, grants) if number == 0 else each
        for at in sorted(NOW - chance.randrange(25 * DAY) for _ in range(many)):
            turn = chance.randrange(50)
            idle = NOW - 1 if (number + turn) % 40 == 0 else at + 30 * DAY
            replayed = turn == 49 and number % 100 == 3
            grant_id = new_grant_id(at, chance.randbytes(GRANT_ID_ENTROPY), key_id)
            superseded = (at + 1).to_bytes(8) * min(turn, 3)
            end = (NOW - 1_000, "replayed") if replayed else (None, None)
            row = (turn, chance.randbytes(16), superseded, None, at, idle, at + 90 * DAY, *end)
            yield key_id, grant_id, *row, b"\x7f\0\0\1", b"\x7f\0\0\2", None


def _audit(ids, first, lines, chance):
    for n in range(lines):
        event, actor = EVENTS[n % 4], ("client", "client", "server", "cli:alice@desk")[n % 4]
        if n % RARE == 7:
            event, actor = "grant.replayed", "key:000000000001"
        request = f"{chance.getrandbits(64):016x}"
        row = first + n, NOW - (lines - n) * SECOND, event, chance.choice(ids), None, '{"closed":3}'
        yield *row, actor, "127.0.0.1", request, chance.randbytes(32), NOW
