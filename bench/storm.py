"""A storm of refreshes after an outage, as a discrete-event simulation: four kinds of client before one server.

Nothing sleeps, and a seed decides all chance. hourpass's own client is not a copy: `new_credential` and `Transaction`,
the code that ships, decide when it asks again. `python -m bench.storm --keep` writes the figures and the plot.
"""

import argparse
import datetime as dt
import json
import random
import sys
from collections import Counter, deque
from heapq import heapify, heapreplace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bench.storm_plot import STEP, plot
from hourpass.client.credential import new_credential
from hourpass.client.refresh.token_endpoint import CONNECT, classify
from hourpass.client.refresh.transaction import BACKOFF_END, BACKOFF_START, Granted, Transaction, Transient
from hourpass.client.refresher import LEAST
from hourpass.core.errors import StorageUnavailable
from hourpass.core.policy import HOUR, LEEWAY, MINUTE, SECOND, Policy, backoff
from hourpass.server.ledger.ledger import QUEUE_LIMIT
from hourpass.server.transport.listener import BACKLOG

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs" / "storm.svg"

LIFETIME = Policy().access_token_lifetime
CORE = 10_000
"""Refreshes per second on one core, as the bench measured it. The server's own limits are in proportion to it."""

REFUSAL = 0.4
"""The cost of a refusal, as a share of a refresh. It is read and its token proven, but nothing stored or signed."""

ROUND_TRIP = 100
"""Milliseconds, including those for the connection and TLS."""

CALL_EVERY = 10 * SECOND
"""How often each client calls its API. A client that refreshes on a 401 learns of a token's end by the next call."""

OUTAGE = range(HOUR - 5 * MINUTE, HOUR + 5 * MINUTE)
END = OUTAGE.stop + 2 * HOUR
ECHO_FROM = OUTAGE.stop + 30 * MINUTE
"""Clients that refreshed together come back together, an hour later."""

GRANTED = Granted("", "next", LIFETIME)
NO_ANSWER = Transient("no connection")
BUSY = classify(503, b"", StorageUnavailable().retry_after * SECOND)


class Server:
    """One queue, served in order. If it is full, it refuses. If the listen backlog is full, too, nobody gets an answer.

    Its limits are the real ones, in proportion to `capacity` (refreshes a second).
    """

    def __init__(self, capacity, outage):
        self._pace = SECOND / capacity
        self._queue = QUEUE_LIMIT * capacity / CORE
        self._line = (QUEUE_LIMIT + BACKLOG) * capacity / CORE
        self._outage = outage
        self._free_at = 0.0
        self._accepted, self._refused = deque(), deque()
        self.longest_queue = 0

    def take(self, now):
        """The answer to a request that comes now, and when it arrives."""
        if now in self._outage:
            return NO_ANSWER, now + int(CONNECT * SECOND)
        for line in (self._accepted, self._refused):
            while line and line[0] <= now:
                line.popleft()
        if len(self._accepted) + len(self._refused) >= self._line:
            return NO_ANSWER, now + int(CONNECT * SECOND)
        is_full = len(self._accepted) >= self._queue
        self._free_at = max(self._free_at, now) + self._pace * (REFUSAL if is_full else 1)
        (self._refused if is_full else self._accepted).append(self._free_at)
        self.longest_queue = max(self.longest_queue, len(self._accepted))
        return BUSY if is_full else GRANTED, int(self._free_at) + ROUND_TRIP


class Cron:
    """`0 * * * *`: asks within a second of the full hour, and after a failure not before the next one."""

    title = "cron at minute 0"

    def __init__(self, chance):
        self.chance = chance
        self.failures = 0
        self.useless_from = 0
        """The instant at which the client first lacks a token that it needs."""

    def start(self):
        return self.granted(0)

    def granted(self, sent):
        self.useless_from = sent + LIFETIME + LEEWAY
        return self.next_run(sent)

    def failed(self, outcome, sent, now):
        return self.next_run(sent)

    def next_run(self, now):
        return (now // HOUR + 1) * HOUR + int(self.chance() * SECOND)


class At401(Cron):
    """Refreshes when a call is answered with 401, and tries again at once after a failure."""

    title = "on a 401, again at once"

    def start(self):
        return max(0, self.granted(-int(self.chance() * LIFETIME)))

    def granted(self, sent):
        self.failures = 0
        self.useless_from = sent + LIFETIME + LEEWAY + int(self.chance() * CALL_EVERY)
        return self.useless_from

    def failed(self, outcome, sent, now):
        return now


class BackingOff(At401):
    """The same, but waits 1 s after a failure, then 2, 4 and so on to 60: hourpass's own back-off, without chance."""

    title = "on a 401, back-off without jitter"

    def failed(self, outcome, sent, now):
        self.failures += 1
        return now + backoff(self.failures - 1, 1.0, first=BACKOFF_START, longest=BACKOFF_END)


class Hourpass(Cron):
    """hourpass's client. It refreshes ahead of time, with jitter. `Refresher` asks when `Transaction` says so."""

    title = "hourpass's client"

    def start(self):
        jitter = self.chance()
        return self.keep(-int(self.chance() * self.keep(0, jitter)), jitter)

    def granted(self, sent):
        self.failures = 0
        return self.keep(sent, self.chance())

    def keep(self, sent, jitter):
        self.credential = new_credential(
            access_token="", refresh_token="next", number=0, issued_at=sent, lifetime=GRANTED.lifetime, jitter=jitter
        )
        self.useless_from = self.credential.hard
        return self.credential.soft

    def failed(self, outcome, sent, now):
        transaction = Transaction(rejected=None, has_key=True, failures=self.failures)
        transaction.next(self.credential, sent, self.chance())
        transaction.record(outcome)
        self.failures += 1
        return max(transaction.next(self.credential, now, self.chance()).until, sent + LEAST)


KINDS = (Cron, At401, BackingOff, Hourpass)


class Report(NamedTuple):
    """What happened to one kind of client. Rates are requests in one second."""

    title: str
    usual: float
    """Mean rate before the outage."""
    peak: int
    """The peak from the outage on. `echo` is the peak from half an hour after it."""
    echo: int
    longest_queue: int
    fresh_after: float | None
    """Seconds from the outage's end until every failed refresh has succeeded. None if that takes more than 2 h."""
    without_token: int
    """Client-seconds without a token after a failed refresh."""
    failed_calls: int
    asked: int
    wasted: int
    """Requests that brought no token, of all that were `asked`."""
    lacking: list[int]
    """How many clients lack a token after a failed refresh, each `STEP`."""


def simulate(kind, clients, capacity, seed):
    """Simulate three hours around an outage, for clients of one kind."""
    chance = random.Random(f"{seed} {kind.title}").random
    server = Server(capacity, OUTAGE)
    people = [kind(chance) for _ in range(clients)]
    waiting = [(person.start(), number) for number, person in enumerate(people)]
    heapify(waiting)
    failing, troubles = {}, []
    rates, lacking = Counter(), Counter()
    wasted = without = 0

    def lacked(person, until):
        lacking[-(-person.useless_from // STEP)] += 1
        lacking[-(-until // STEP)] -= 1
        return until - person.useless_from

    while waiting[0][0] < END:
        sent, number = waiting[0]
        person = people[number]
        rates[sent // SECOND] += 1
        outcome, at = server.take(sent)
        if outcome is GRANTED:
            if number in failing:
                troubles.append((failing.pop(number), at))
                if at > person.useless_from:
                    without += lacked(person, at)
            again = person.granted(sent)
        else:
            wasted += 1
            failing.setdefault(number, at)
            again = person.failed(outcome, sent, at)
        heapreplace(waiting, (again, number))
    for number, since in failing.items():
        troubles.append((since, END))
        if people[number].useless_from < END:
            without += lacked(people[number], END)
    fresh_at = end_of_trouble(troubles)
    outage, echo = OUTAGE.start // SECOND, ECHO_FROM // SECOND
    return Report(
        title=kind.title,
        usual=sum(rate for second, rate in rates.items() if second < outage) / outage,
        peak=max(rate for second, rate in rates.items() if second >= outage),
        echo=max(rate for second, rate in rates.items() if second >= echo),
        longest_queue=server.longest_queue,
        fresh_after=None if fresh_at >= END else (fresh_at - OUTAGE.stop) / SECOND,
        without_token=without // SECOND,
        failed_calls=without // CALL_EVERY,
        asked=rates.total(),
        wasted=wasted,
        lacking=list(accumulate(lacking[step] for step in range(END // STEP))),
    )


def end_of_trouble(troubles):
    """The first instant after the outage's end at which no refresh is overdue. Troubles are (since, until)."""
    fresh_at = OUTAGE.stop
    for since, until in sorted(troubles):
        if since > fresh_at:
            break
        fresh_at = max(fresh_at, until)
    return fresh_at


def show(reports):
    lines = [f"{'':34} usual    peak    echo   queue  fresh after  without token  failed calls    wasted of    asked"]
    for one in reports:
        fresh = "not in 2 h" if one.fresh_after is None else f"{one.fresh_after:,.0f} s"
        lines.append(
            f"{one.title:34} {one.usual:5.0f} {one.peak:7,} {one.echo:7,} {one.longest_queue:7,} {fresh:>12}"
            f" {one.without_token:12,} s {one.failed_calls:13,} {one.wasted:9,} {one.asked:11,}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="bench.storm", description=__doc__)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--capacity", type=int, nargs="+", default=[100, 160, CORE], help="refreshes a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="write bench/results/ and docs/storm.svg")
    options = parser.parse_args()
    runs = {}
    for capacity in options.capacity:
        runs[capacity] = [simulate(kind, options.clients, capacity, options.seed) for kind in KINDS]
        print(f"\n{options.clients:,} clients, {capacity:,} refreshes a second\n{show(runs[capacity])}")
    if options.keep:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        path = RESULTS / f"storm-{today}.json"
        found = {str(capacity): [one._asdict() for one in reports] for capacity, reports in runs.items()}
        result = {"date": today, "clients": options.clients, "seed": options.seed, "capacity": found}
        path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
        tight = min(runs)
        PICTURE.write_text(plot(runs[tight], clients=options.clients, capacity=tight, outage=OUTAGE))
        print(f"\nwritten: bench/results/{path.name}, docs/{PICTURE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
