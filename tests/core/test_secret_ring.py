"""When a secret of the server is used, kept and gone: at every boundary, and also if the clock jumped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.policy import DAY
from hourpass.core.secret_ring import PUBLISH_AHEAD, NotYet, ServerSecret, decide_new_secret, ring_of

START = 1_800_000_000_000
FIRST, SECOND, THIRD = (ServerSecret(str(n), bytes([n]), START + n * DAY) for n in range(3))
USED = SECOND.created_at + PUBLISH_AHEAD
KEPT = 90 * DAY
RING = ring_of([SECOND, FIRST])

rings = st.lists(st.integers(0, 10 * PUBLISH_AHEAD), min_size=1, max_size=5).map(
    lambda ages: ring_of(ServerSecret(f"k{n}", b"", START + age) for n, age in enumerate(ages))
)


def test_the_newest_comes_first_however_they_are_given():
    assert ring_of([FIRST, THIRD, SECOND]).secrets == (THIRD, SECOND, FIRST)


def test_the_only_secret_is_used_at_any_time():
    """Also before it was made: a clock may have been ahead then."""
    assert [ring_of([FIRST]).used_at(at) for at in (0, START - 1, START, START + KEPT)] == [FIRST] * 4


@pytest.mark.parametrize(
    ("instant", "used"),
    [(0, FIRST), (SECOND.created_at, FIRST), (USED - 1, FIRST), (USED, SECOND), (USED + KEPT, SECOND)],
)
def test_a_new_secret_is_used_when_every_node_has_had_time_to_learn_of_it(instant, used):
    assert RING.used_at(instant) is used


@pytest.mark.parametrize(
    ("now", "states"),
    [
        (USED - 1, ["published", "in use"]),
        (USED, ["in use", "kept"]),
        (USED + KEPT - 1, ["in use", "kept"]),
        (USED + KEPT, ["in use", "gone"]),
    ],
)
def test_an_earlier_secret_is_kept_as_long_as_what_it_made_last_can_be_good(now, states):
    assert [RING.state(secret, now, KEPT) for secret in RING.secrets] == states


def test_what_is_accepted_begins_with_the_one_in_use_and_ends_before_those_that_are_gone():
    assert RING.accepted(USED - 1, KEPT) == (FIRST, SECOND)
    assert RING.accepted(USED, KEPT) == (SECOND, FIRST)
    assert RING.accepted(USED + KEPT, KEPT) == (SECOND,)


def test_of_three_each_is_kept_from_the_use_of_the_next_one():
    ring = ring_of([FIRST, SECOND, THIRD])
    third = THIRD.created_at + PUBLISH_AHEAD

    assert ring.accepted(third, KEPT) == (THIRD, SECOND, FIRST)
    assert ring.accepted(USED + KEPT, KEPT) == (THIRD, SECOND)
    assert ring.accepted(third + KEPT, KEPT) == (THIRD,)


def test_a_secret_from_a_clock_that_was_ahead_is_not_used_before_its_time():
    ahead = ServerSecret("ahead", b"", START + 400 * DAY)
    ring = ring_of([FIRST, ahead])

    assert ring.used_at(START + 399 * DAY) is FIRST
    assert ring.state(ahead, START, KEPT) == "published"
    assert ahead in ring.accepted(START, KEPT)


@pytest.mark.parametrize(
    ("now", "decision"), [(SECOND.created_at, NotYet(USED)), (USED - 1, NotYet(USED)), (USED, None)]
)
def test_while_one_waits_no_other_is_made(now, decision):
    assert decide_new_secret(RING, now) == decision


def test_the_first_one_makes_another_wait_only_if_the_clock_stepped_back():
    """A new one must be the newest, or it would be used for what other nodes do not expect of it."""
    assert decide_new_secret(ring_of([FIRST]), START) == NotYet(START + PUBLISH_AHEAD)
    assert decide_new_secret(ring_of([FIRST]), START + 1) is None


@given(rings, st.integers(0, 12 * PUBLISH_AHEAD), st.integers(0, 12 * PUBLISH_AHEAD))
def test_what_was_used_once_is_the_same_answer_at_any_later_time_and_on_a_ring_that_grew(ring, at, later):
    """So a retry gets the very same token, wherever and whenever it is made again."""
    instant = START + at
    new = ServerSecret("new", b"", max(START + later, instant, ring.secrets[0].created_at + 1))

    assert ring_of([*ring.secrets, new]).used_at(instant) is ring.used_at(instant)


@given(rings, st.integers(-PUBLISH_AHEAD, 30 * PUBLISH_AHEAD), st.integers(0, 20 * PUBLISH_AHEAD))
def test_the_one_in_use_is_always_accepted_and_each_only_once(ring, at, kept):
    accepted = ring.accepted(START + at, kept)

    assert accepted[0] is ring.used_at(START + at)
    assert len({secret.kid for secret in accepted}) == len(accepted)
    assert sum(ring.state(secret, START + at, kept) == "in use" for secret in ring.secrets) == 1


def test_its_repr_shows_no_secret():
    assert repr(ServerSecret("kid", b"hidden")) == "ServerSecret('kid')"
