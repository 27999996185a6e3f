"""A store with a sieve writes no more lines of a client than its transactions kept."""

import pytest
from tests.contract.conftest import NOW

from hourpass.core.actor import Actor
from hourpass.core.audit import Folded
from hourpass.core.grant_events import GrantReplayed
from hourpass.core.policy import HOUR
from hourpass.server.ledger.folds import Folds
from hourpass.server.store import transaction

REPLAY = GrantReplayed("aa" * 16, "key1", 1, 2, Actor("client", "192.0.2.1"))


@pytest.fixture
def sifted(shared):
    store = shared.connect()
    store.sieve = Folds()
    return store


def replay(store, times: int) -> None:
    with transaction(store):
        store.append_audit(NOW, [REPLAY] * times)


def written(store) -> int:
    with transaction(store):
        return len(store.audit_after(0, 1_000))


def test_what_is_beyond_the_limit_is_counted_over_all_transactions(sifted):
    for _ in range(4):
        replay(sifted, 20)

    assert written(sifted) == 60
    assert sifted.sieve.counts(NOW + HOUR) == [Folded("key1", "grant.replayed", 20, NOW)]


def test_a_transaction_that_is_undone_takes_no_place(sifted):
    for _ in range(100):
        with pytest.raises(ZeroDivisionError), transaction(sifted):
            sifted.append_audit(NOW, [REPLAY])
            raise ZeroDivisionError

    replay(sifted, 61)

    assert written(sifted) == 60
    assert sifted.sieve.counts(NOW + HOUR) == [Folded("key1", "grant.replayed", 1, NOW)]


def test_undoing_one_transaction_takes_nothing_from_the_one_before(sifted):
    replay(sifted, 60)
    sifted.rollback()

    replay(sifted, 1)

    assert written(sifted) == 60


def test_two_connections_of_a_process_share_the_limit(shared):
    folds, stores = Folds(), [shared.connect(), shared.connect()]
    for store in stores:
        store.sieve = folds
        replay(store, 40)

    assert written(stores[0]) == 60
