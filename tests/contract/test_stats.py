"""The numbers of the overview: they add up over nodes, and one node's rows never lose anything."""

from tests.contract.conftest import NOW

from hourpass.core.policy import MINUTE
from hourpass.core.stats import Stats
from hourpass.server.store import transaction
from hourpass.server.store.stats import Measured

FIRST = NOW // MINUTE // 15 * 15
ONE = Stats(*range(1, len(Stats._fields) + 1))
TWO = Stats(*(2 * number for number in ONE))


def test_each_number_is_kept_in_its_place(store):
    store.add_stats("a", [(FIRST, ONE)])

    assert store.stats_since(FIRST, 1) == {FIRST: ONE}


def test_nodes_add_up(store):
    store.add_stats("a", [(FIRST, ONE)])
    store.add_stats("b", [(FIRST, ONE)])

    assert store.stats_since(FIRST, 1) == {FIRST: TWO}


def test_a_minute_that_is_written_down_again_gets_more_and_never_less(store):
    """The clock was set back, or a node left within its minute and came again."""
    store.add_stats("a", [(FIRST, ONE)])
    store.add_stats("a", [(FIRST, ONE), (FIRST + 1, ONE)])

    assert store.stats_since(FIRST, 1) == {FIRST: TWO, FIRST + 1: ONE}


def test_minutes_add_up_to_the_points_of_a_chart(store):
    store.add_stats("a", [(FIRST - 1, ONE), (FIRST, ONE), (FIRST + 14, ONE), (FIRST + 15, ONE)])

    assert store.stats_since(FIRST, 15) == {FIRST: TWO, FIRST + 15: ONE}


def test_what_is_older_than_a_minute_is_deleted_and_that_minute_stays(store):
    store.add_stats("a", [(FIRST - 1, ONE), (FIRST, ONE)])
    store.prune_stats(FIRST)

    assert store.stats_since(0, 1) == {FIRST: ONE}


def test_nothing_to_add_is_worth_no_statement(store):
    store.add_stats("a", [])

    assert store.stats_since(0, 1) == {}


def test_what_was_counted_last_is_known_with_its_instant(store):
    assert store.measured("grants") is None
    store.note_measured("grants", Measured(7, NOW))
    store.note_measured("grants", Measured(5, NOW + 1))

    assert store.measured("grants") == Measured(5, NOW + 1)


def test_two_nodes_write_at_the_same_time(shared):
    first, second = shared.connect(), shared.connect()
    for store in (first, second):
        with transaction(store):
            store.add_stats("node of " + str(id(store)), [(FIRST, ONE)])

    with transaction(second):
        assert second.stats_since(FIRST, 1) == {FIRST: TWO}
