"""The parts that every implementation needs: `python -m bench.parts FOLDER`, with one batch size on each line of stdin.

Each line is answered with CPU microseconds of one core: for a raw ES256 signature, for one grant inserted or rotated in
batches of that size on a database that syncs every commit, for `Verifier.verify` on a token that it has seen, and for
the metrics of a request.
Grants have random ids here and rotate in random order, as in the run by which the budgets were set.
"""

import gc
import json
import os
import random
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
from hourpass.server.ledger.measures import Measures
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.telemetry.counts import FIRST_BUCKET
from hourpass.server.telemetry.tally import Tally
from hourpass.verifier.token_verifier import TokenVerifier

PREFILLED = 100_000
COUNT = 3_840


def cpu_us(work, count, repeat=3):
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


class Grouped:
    """A database with as many grants as a server has after some seconds of load. An empty tree would be too fast."""

    def __init__(self, path):
        self._store = SqliteStore(path)
        self._now = time.time_ns() // 1_000_000
        self._store.migrate(self._now)
        self._grants = []
        self.insert_us(500, PREFILLED)
        self._store.maintain()
        gc.freeze()

    def insert_us(self, batch, count=COUNT):
        grants = [self._new() for _ in range(count)]
        self._grants += grants
        return self._each(grants, batch, self._store.add_grants)

    def rotate_us(self, batch):
        places = random.sample(range(len(self._grants)), COUNT)
        turning = [self._grants[place] for place in places]
        policy = Policy(retry_window=0)
        rotated = [(g.generation, decide_refresh(g, g.generation, self._now, policy).grant) for g in turning]
        for place, (_, grant) in zip(places, rotated, strict=True):
            self._grants[place] = grant
        return self._each(rotated, batch, self._store.save_rotations)

    def _each(self, items, batch, write):
        begin = time.process_time()
        for at in range(0, len(items), batch):
            self._store.begin(wait=True)
            write(items[at : at + batch])
            self._store.commit()
        spent = time.process_time() - begin
        self._store.maintain()
        return spent / len(items) * 1e6

    def _new(self):
        return open_grant(
            grant_id=os.urandom(16),
            seed=os.urandom(16),
            key_id="vLN4aeuHv8ZP",
            scope=None,
            now=self._now,
            policy=Policy(),
        )


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
        for _ in range(20_000):
            verify(token, now)

    return cpu_us(work, 20_000)


def metrics_us(batch):
    """What the metrics of an exchange take, its share of its batch's among them."""
    counts, stopwatch = Tally().counts(0), time.perf_counter
    measures = Measures(counts)

    def work():
        for number in range(20_000):
            began = stopwatch()
            counts.request("/auth/api-key", 200, stopwatch() - began)
            if number % batch == 0:
                measures.begins(batch, 1)
                measures.committed(0.0005)

    return cpu_us(work, 20_000)


def metrics_at_once_us():
    """What the metrics of an answer of forward auth take that needs no waiting."""
    counts = Tally().counts(0)
    first = FIRST_BUCKET["/auth/verify"]

    def work():
        for _ in range(20_000):
            counts.cells[first[204]] += 1

    return cpu_us(work, 20_000)


if __name__ == "__main__":
    grouped = Grouped(Path(sys.argv[1]) / "parts.db")
    for line in sys.stdin:
        size = int(line)
        figures = {
            "sign_us": sign_us(),
            "insert_us": grouped.insert_us(size),
            "update_us": grouped.rotate_us(size),
            "guard_us": guard_us(),
            "metrics_us": metrics_us(size),
            "metrics_at_once_us": metrics_at_once_us(),
        }
        print(json.dumps(figures), flush=True)
