"""The parts that no implementation can do without, timed alone: `python -m bench.parts FOLDER`, the result on stdout.

CPU microseconds of one core: a raw ES256 signature, and one grant inserted or rotated in a batch as large as the load
allows, on a database that syncs every commit. Also the in-process guard: `Verifier.verify` on a token that it has seen.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hourpass.core.claims import Expected
from hourpass.core.grant import decide_refresh, open_grant
from hourpass.core.policy import Policy
from hourpass.core.revocation import Revocations
from hourpass.jose import AccessClaims, SigningKeyPair
from hourpass.server.store.sqlite import SqliteStore
from hourpass.verifier.token_verifier import TokenVerifier

PREFILLED = 100_000
BATCHES = (16, 64)
"""A transaction cannot hold more than what waits, so each load has its own: one grant for each connection."""


def cpu_us(work, count, repeat=5):
    """The median CPU microseconds of one of `count` units of work."""
    figures = []
    for _ in range(repeat):
        begin = time.process_time()
        work()
        figures.append((time.process_time() - begin) / count * 1e6)
    return statistics.median(figures)


def sign_us():
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    message = os.urandom(400)

    def work():
        for _ in range(2000):
            key.sign(message, algorithm)

    return cpu_us(work, 2000)


def new_grant(key_id, now):
    return open_grant(grant_id=os.urandom(16), seed=os.urandom(16), key_id=key_id, scope=None, now=now, policy=Policy())


def grouped_us(folder, batch):
    store = SqliteStore(folder / f"parts-{batch}.db")
    now = time.time_ns() // 1_000_000
    store.migrate(now)
    count = 3840
    made = []
    # As many grants as a server has after some seconds of this load: an empty tree would flatter the part.
    for _ in range(0, PREFILLED, 500):
        store.begin(wait=True)
        store.add_grants([new_grant("vLN4aeuHv8ZP", now) for _ in range(500)])
        store.commit()
        store.maintain()

    def insert():
        grants = [new_grant("vLN4aeuHv8ZP", now) for _ in range(count)]
        made.extend(grants)
        begin = time.process_time()
        for at in range(0, len(grants), batch):
            store.begin(wait=True)
            store.add_grants(grants[at : at + batch])
            store.commit()
        return (time.process_time() - begin) / len(grants) * 1e6

    inserted = statistics.median(insert() for _ in range(5))

    def rotate():
        rotated = [(g.generation, decide_refresh(g, g.generation, now, Policy(retry_window=0)).grant) for g in made]
        begin = time.process_time()
        for at in range(0, len(made), batch):
            store.begin(wait=True)
            store.save_rotations(rotated[at : at + batch])
            store.commit()
        spent = (time.process_time() - begin) / len(made) * 1e6
        made[:] = [grant for _, grant in rotated]
        return spent

    updated = statistics.median(rotate() for _ in range(3))
    store.close()
    return inserted, updated


def guard_us():
    pair = SigningKeyPair.generate("bench", "ES256")
    second = time.time_ns() // 1_000_000_000
    url = "http://127.0.0.1:3600"
    claims = AccessClaims(url, "s", url, second + 3600, second, "j", "k", "videos.read", "g", "production")
    token = pair.mint(claims)
    verifier = TokenVerifier(Expected(url, url, 3_600_000), {pair.header: pair.verification_key}, Revocations())
    verify, now = verifier.verify, second * 1000
    verify(token, now)

    def work():
        for _ in range(100_000):
            verify(token, now)

    return cpu_us(work, 100_000)


if __name__ == "__main__":
    figures = {"sign_us": sign_us(), "guard_us": guard_us()}
    for batch in BATCHES:
        figures[f"insert_{batch}_us"], figures[f"update_{batch}_us"] = grouped_us(Path(sys.argv[1]), batch)
    print(json.dumps(figures))
