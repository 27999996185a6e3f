"""Absences: a generation superseded while nobody could be answered is judged as if at their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_grant import POLICY, START, WINDOW, new_grant, rotated

from hourpass.core.absence import MAX_ABSENCE, Absence, counted_from
from hourpass.core.grant import Burst, Replay, Retry, Rotate, decide_refresh
from hourpass.core.policy import MAX_RETRY_WINDOW, MINUTE, RING_SIZE

SINCE, UNTIL = START + 1_000, START + 91_000
AWAY = (Absence(SINCE, UNTIL),)


@pytest.mark.parametrize(
    ("superseded_at", "counted"),
    [(SINCE - 1, SINCE - 1), (SINCE, UNTIL), (UNTIL - 1, UNTIL), (UNTIL, UNTIL), (UNTIL + 1, UNTIL + 1)],
)
def test_a_supersession_in_an_absence_is_dated_to_its_end_and_any_other_stays(superseded_at, counted):
    assert counted_from(superseded_at, AWAY) == counted


def test_without_absences_nothing_changes():
    assert counted_from(START, ()) == START


def test_absences_that_touch_are_as_one():
    assert counted_from(SINCE, (*AWAY, Absence(UNTIL, UNTIL + 5))) == UNTIL + 5
    assert counted_from(SINCE, (*AWAY, Absence(UNTIL + 1, UNTIL + 5))) == UNTIL


@pytest.mark.parametrize("length", [MAX_ABSENCE, MAX_ABSENCE + 1, 10 * MAX_ABSENCE])
def test_no_absence_adds_more_than_ten_minutes(length):
    """A thief gains no more, however long the database is away."""
    assert MAX_ABSENCE == 10 * MINUTE
    assert counted_from(START, (Absence(START, START + length),)) == START + MAX_ABSENCE


spans = st.lists(
    st.tuples(st.integers(0, 1_500_000), st.integers(0, 800_000)).map(lambda pair: Absence(pair[0], sum(pair))),
    max_size=4,
).map(lambda found: tuple(sorted(found)))


@given(absences=spans, instants=st.tuples(st.integers(0, 2_500_000), st.integers(0, 2_500_000)))
def test_it_never_goes_back_never_adds_more_than_the_bound_and_keeps_the_order(absences, instants):
    earlier, later = sorted(instants)

    assert earlier <= counted_from(earlier, absences) <= earlier + MAX_ABSENCE
    assert counted_from(earlier, absences) <= counted_from(later, absences)


def policy_with(*absences: Absence, window: int = WINDOW):
    return POLICY.with_retry_window(window)._replace(absences=absences)


@pytest.mark.parametrize(("after", "kind"), [(0, Retry), (WINDOW, Retry), (WINDOW + 1, Replay)])
def test_a_retry_has_its_whole_window_after_the_absence_in_which_its_answer_was_lost(after, kind):
    grant = rotated(new_grant(), SINCE)

    assert isinstance(decide_refresh(grant, 0, UNTIL + after, policy_with(*AWAY)), kind)


def test_a_generation_superseded_before_the_absence_is_a_replay_as_ever():
    grant = rotated(new_grant(), SINCE - 1)

    assert isinstance(decide_refresh(grant, 0, UNTIL, policy_with(*AWAY)), Replay)


def test_a_strict_window_stays_strict():
    grant = rotated(new_grant(), SINCE, policy=policy_with(window=0))

    assert isinstance(decide_refresh(grant, 0, SINCE, policy_with(*AWAY, window=0)), Replay)


def test_the_longest_absence_delays_a_replay_by_ten_minutes_and_no_longer():
    grant = rotated(new_grant(), START)
    policy = policy_with(Absence(START, START + 24 * 60 * MINUTE))

    assert isinstance(decide_refresh(grant, 0, START + MAX_ABSENCE + WINDOW, policy), Retry)
    assert isinstance(decide_refresh(grant, 0, START + MAX_ABSENCE + WINDOW + 1, policy), Replay)


def test_a_full_ring_whose_oldest_may_still_be_asked_for_stays_a_burst():
    grant = rotated(new_grant(), *range(SINCE, SINCE + RING_SIZE))

    assert isinstance(decide_refresh(grant, RING_SIZE, UNTIL + WINDOW, policy_with(*AWAY)), Burst)
    assert isinstance(decide_refresh(grant, RING_SIZE, UNTIL + WINDOW + 1, policy_with(*AWAY)), Rotate)


def test_a_rotation_keeps_what_may_still_be_asked_for_because_of_an_absence():
    """Another worker of the client moves the grant on. The one whose answer was lost comes later."""
    absence = Absence(START, START + 9 * MINUTE)
    policy = policy_with(absence, window=MAX_RETRY_WINDOW)
    grant = rotated(new_grant(), START, START + 9 * MINUTE, policy=policy)

    assert isinstance(decide_refresh(grant, 0, START + 9 * MINUTE, policy), Retry)
