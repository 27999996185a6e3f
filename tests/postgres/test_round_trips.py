"""A batch takes as many round trips to the database for hundreds as for one, with any mix of outcomes.

The transactions that take a number wait for each other, in the whole cluster: each round trip in one is everybody's.
"""

import pytest
from tests.contract.conftest import make_grant, make_key
from tests.postgres.conftest import NOW
from tests.postgres.relay import Relay

from hourpass.core.grant import Ahead, Replay, Rotate, generation_tag
from hourpass.core.policy import Policy
from hourpass.server.ledger.asking import Refreshing
from hourpass.server.ledger.batch import Settling
from hourpass.server.store import transaction
from hourpass.server.store.connection import Unreachable

POLICY = Policy(grants_per_key=1)
LATER = NOW + 10**9
GRANTS = [
    make_grant(number, generation=3, superseded=(NOW,) * 3, idle_expires_at=LATER, expires_at=LATER)
    for number in range(300)
]


class Counter:
    """Settles batches through a relay, and counts their round trips."""

    def __init__(self, database, relay) -> None:
        self.store = database.open(host=relay.folder)
        self._relay = relay
        self._settling = Settling(POLICY, None, None)

    @property
    def round_trips(self) -> int:
        return self._relay.round_trips

    def settle(self, batch) -> tuple[int, list]:
        before = self._relay.round_trips
        self.store.begin(wait=False)
        answers = self._settling.settle(self.store, batch, 0)
        self.store.commit()
        return self._relay.round_trips - before, answers


@pytest.fixture
def counter(database):
    with transaction(database.connect()) as store:
        store.add_key(make_key())
        store.add_grants(GRANTS)
    with Relay(database.cluster.folder) as relay:
        counter = Counter(database, relay)
        yield counter
        counter.store.close()


def refresh(grant, generation: int, now: int = NOW) -> Refreshing:
    return Refreshing(grant.ref, generation, generation_tag(grant.seed, generation), None, now)


def honest(grant) -> Refreshing:
    return refresh(grant, grant.generation)


def ahead(grant) -> Refreshing:
    return refresh(grant, grant.generation + 1)


def replayed(grant) -> Refreshing:
    return refresh(grant, 0, NOW + POLICY.retry_window + 1)


def decisions(answers) -> set[type]:
    return {type(answer.decision) for answer in answers}


@pytest.mark.parametrize(
    ("ask", "decision", "more"),
    [(honest, Rotate, 0), (ahead, Ahead, 1), (replayed, Replay, 3)],
    ids=["honest", "ahead", "replayed"],
)
def test_hundreds_cost_the_round_trips_of_one(counter, ask, decision, more):
    """Beside a batch that only rotates: a statement for the audit trail, and for replays two that end them."""
    grants = iter(GRANTS)
    for _ in range(3):  # the third time every statement is prepared
        alone, _ = counter.settle([honest(next(grants))])
        one, _ = counter.settle([honest(next(grants)), ask(next(grants))])

    many, answers = counter.settle([*(honest(next(grants)) for _ in range(50)), *map(ask, grants)])

    assert decisions(answers[:50]) == {Rotate}
    assert decisions(answers[50:]) == {decision}
    assert len(answers) > 250
    assert one == many == alone + more


def test_a_look_at_what_others_changed_is_one_round_trip(counter):
    """Every node makes one several times a second."""
    for _ in range(3):  # the third time it is prepared
        before = counter.round_trips
        counter.store.look()

    assert counter.round_trips - before == 1


def test_a_look_finds_its_way_after_a_restart(own_database):
    store = own_database.connect()
    seen = store.look()
    own_database.cluster.stop()
    with pytest.raises(Unreachable):
        store.look()
    own_database.cluster.start()

    assert store.look() == seen
