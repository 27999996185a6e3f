"""The throttle's arithmetic, to the millisecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.errors import Throttled
from hourpass.core.policy import MINUTE
from hourpass.server.issuing.throttle import REMEMBERED, Throttle

NOW = 1_800_000_000_000


def admitted(throttle, caller, now):
    try:
        throttle.admit(caller, now)
    except Throttled:
        return False
    return True


def refusal(throttle, caller, now):
    with pytest.raises(Throttled) as caught:
        throttle.admit(caller, now)
    return caught.value.retry_after


def test_a_whole_minutes_worth_may_come_at_once_and_one_more_may_not():
    throttle = Throttle(6)

    assert [admitted(throttle, "a", NOW) for _ in range(7)] == [True] * 6 + [False]


def test_a_place_is_free_again_after_exactly_one_interval():
    throttle = Throttle(6)
    for _ in range(6):
        throttle.admit("a", NOW)

    assert not admitted(throttle, "a", NOW + 9_999)
    assert admitted(throttle, "a", NOW + 10_000)
    assert not admitted(throttle, "a", NOW + 10_000)


def test_what_is_given_back_may_be_used_again_and_no_more_than_that():
    throttle = Throttle(6)
    for _ in range(6):
        throttle.admit("a", NOW)
    throttle.give_back("a")
    throttle.give_back("another")

    assert [admitted(throttle, "a", NOW) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("after", "retry_after"), [(0, 10), (1, 10), (8_999, 2), (9_000, 1), (9_999, 1)])
def test_the_wait_is_said_in_whole_seconds_rounded_up(after, retry_after):
    """RFC 9110 §10.2.3: Retry-After is in whole seconds. A client that obeys must not be refused again."""
    throttle = Throttle(6)
    for _ in range(6):
        throttle.admit("a", NOW)

    assert refusal(throttle, "a", NOW + after) == retry_after


def test_a_refused_request_takes_nothing():
    throttle = Throttle(6)
    for _ in range(6):
        throttle.admit("a", NOW)
    for _ in range(100):
        assert not admitted(throttle, "a", NOW + 5_000)

    assert admitted(throttle, "a", NOW + 10_000)


def test_rest_is_not_saved_up_beyond_a_minutes_worth():
    throttle = Throttle(6)
    throttle.admit("a", NOW)

    later = NOW + 100 * MINUTE

    assert [admitted(throttle, "a", later) for _ in range(7)] == [True] * 6 + [False]


def test_each_caller_has_its_own_allowance():
    throttle = Throttle(1)
    throttle.admit("a", NOW)

    assert not admitted(throttle, "a", NOW)
    assert admitted(throttle, "b", NOW)


def test_one_a_minute_is_one_at_exactly_a_minute():
    throttle = Throttle(1)
    throttle.admit("a", NOW)

    assert refusal(throttle, "a", NOW) == 60
    assert not admitted(throttle, "a", NOW + MINUTE - 1)
    assert admitted(throttle, "a", NOW + MINUTE)


def test_zero_throttles_nobody():
    throttle = Throttle(0)

    assert all(admitted(throttle, "a", NOW) for _ in range(1_000))


def test_a_clock_that_steps_back_frees_nothing():
    throttle = Throttle(1)
    throttle.admit("a", NOW)

    assert not admitted(throttle, "a", NOW - MINUTE)


def test_memory_is_bounded_and_callers_at_rest_are_forgotten_first():
    throttle = Throttle(1)
    throttle.admit("busy", NOW + MINUTE)
    for number in range(REMEMBERED - 1):
        throttle.admit(str(number), NOW)

    throttle.admit("one more", NOW + MINUTE)

    assert len(throttle._arrivals) == REMEMBERED
    assert not admitted(throttle, "busy", NOW + MINUTE)
    assert admitted(throttle, "0", NOW + MINUTE)


def test_a_caller_who_goes_on_is_not_forgotten_however_many_others_come():
    throttle = Throttle(1)
    throttle.admit("goes on", NOW)
    for number in range(3 * REMEMBERED):
        throttle.admit(str(number), NOW)
        if number % (REMEMBERED // 2) == 0:
            assert not admitted(throttle, "goes on", NOW)

    assert len(throttle._arrivals) == REMEMBERED


@given(per_minute=st.integers(1, 600), back=st.integers(0, 2**42))
def test_nobody_is_ever_told_to_wait_for_more_than_a_minute(per_minute, back):
    throttle = Throttle(per_minute)
    while admitted(throttle, "a", NOW):
        pass

    assert refusal(throttle, "a", NOW - back) <= 60


@given(per_minute=st.integers(1, 100_000), taken=st.integers(1, 40), now=st.integers(0, 2**42))
def test_a_caller_who_waits_as_told_is_admitted(per_minute, taken, now):
    throttle = Throttle(per_minute)
    for _ in range(taken):
        if not admitted(throttle, "a", now):
            break
    else:
        return

    assert admitted(throttle, "a", now + 1000 * refusal(throttle, "a", now))


@given(per_minute=st.integers(1, 60), gaps=st.lists(st.integers(0, 90_000), max_size=150))
def test_no_minute_ever_admits_more_than_twice_the_limit(per_minute, gaps):
    """A burst of a whole minute's worth on top of the steady rate is the most that GCRA lets through."""
    throttle, now, times = Throttle(per_minute), NOW, []
    for gap in gaps:
        now += gap
        if admitted(throttle, "a", now):
            times.append(now)

    assert all(sum(start <= at < start + MINUTE for at in times) <= 2 * per_minute for start in times)
