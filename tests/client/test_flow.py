"""The 401 strategy: whose 401 it is, what a request may spend on it, and when it is no longer believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.conftest import NOW, credential

from hourpass.client.auth.strategy import Breaker, Call, Deliver, Seen, SendAgain, bearer

API = "https://api.example.com/videos"
SENT = credential(number=7)
NEWER = credential(number=8, access_token="newer")
OURS = 'Bearer realm="x", error="invalid_token"'


def seen(url=API, authorization="Bearer access", challenges=(OURS,), retry_after=None):
    return Seen(url, authorization, challenges, retry_after)


def call(**more):
    return Call(API, **{"replayable": True, "now": NOW, **more})


def judge(request, response=None, *, sent=SENT, current=SENT, breaker=None, now=NOW, jitter=1.0):
    return request.judge(
        seen() if response is None else response,
        sent=sent,
        current=current,
        breaker=Breaker() if breaker is None else breaker,
        now=now,
        jitter=jitter,
    )


@pytest.mark.parametrize(
    ("response", "is_ours"),
    [
        pytest.param(seen(), True, id="invalid_token"),
        pytest.param(seen(challenges=()), True, id="no challenge"),
        pytest.param(seen(challenges=("Bearer",)), True, id="Bearer without an error"),
        pytest.param(seen(url="https://API.example.com:443/other"), True, id="the same origin in other words"),
        pytest.param(seen(challenges=('Bearer error="insufficient_scope"',)), False, id="another error"),
        pytest.param(seen(challenges=("Basic realm=x",)), False, id="another scheme"),
        pytest.param(seen(url="https://other.example.com/videos"), False, id="another host"),
        pytest.param(seen(url="https://api.example.com:8443/videos"), False, id="another port"),
        pytest.param(seen(url="http://api.example.com/videos"), False, id="http after https"),
        pytest.param(seen(authorization=None), False, id="our token was not on it"),
        pytest.param(seen(authorization="Basic eDo="), False, id="the caller's own credentials"),
        pytest.param(seen(authorization="Bearer other"), False, id="another token"),
    ],
)
def test_a_401_is_ours_only_if_origin_token_and_challenge_say_so(response, is_ours):
    assert judge(call(), response) == (SendAgain(0, 7) if is_ours else Deliver("not_ours"))


def test_a_late_401_replays_without_a_refresh():
    assert judge(call(), current=NEWER) == SendAgain(0, None)


def test_a_newer_token_past_hard_causes_no_replay():
    stale = NEWER._replace(hard=NOW)

    assert judge(call(), current=stale) == SendAgain(0, 7)


def test_one_request_makes_one_refresh_and_three_sends():
    """RFC 6750 says nothing of retries. This is our budget."""
    request = call()

    assert judge(request) == SendAgain(0, 7)
    assert judge(request, seen(authorization=bearer(NEWER)), sent=NEWER, current=NEWER) == SendAgain(250, None)
    assert judge(request, seen(authorization=bearer(NEWER)), sent=NEWER, current=NEWER) == Deliver("budget")


@pytest.mark.parametrize(("jitter", "wait"), [(0, 0), (0.5, 125), (1, 250)])
def test_waits_have_full_jitter(jitter, wait):
    request = call()
    judge(request)

    assert judge(request, jitter=jitter) == SendAgain(wait)


@pytest.mark.parametrize(
    ("retry_after", "elapsed", "verdict"),
    [
        pytest.param(3_000, 0, SendAgain(3_000, 7), id="honoured"),
        pytest.param(9_999, 0, SendAgain(9_999, 7), id="to the end of the budget"),
        pytest.param(10_000, 0, Deliver("budget"), id="beyond the budget"),
        pytest.param(None, 9_999, SendAgain(0, 7), id="a millisecond left"),
        pytest.param(None, 10_000, Deliver("budget"), id="nothing left"),
    ],
)
def test_ten_seconds_in_all_and_retry_after_within_them(retry_after, elapsed, verdict):
    assert judge(call(), seen(retry_after=retry_after), now=NOW + elapsed) == verdict


def test_the_rest_of_the_budget_is_never_negative():
    assert [call().left(NOW + elapsed) for elapsed in (0, 9_999, 10_000, 20_000)] == [10_000, 1, 0, 0]


@pytest.mark.parametrize(("current", "rejected"), [(SENT, 7), (NEWER, None)])
def test_a_body_that_cannot_be_replayed_refreshes_for_the_next_request_and_says_so(current, rejected):
    assert judge(call(replayable=False), current=current) == Deliver("body", rejected)


def test_an_open_breaker_lets_the_401_through_and_costs_no_refresh():
    breaker = open_breaker()

    assert judge(call(), breaker=breaker) == Deliver("breaker")
    assert judge(call(), breaker=breaker, current=NEWER) == SendAgain(0, None), "a newer token is still worth a try"


def test_no_repr_holds_the_token():
    assert "access" not in repr(seen())


# --- the breaker ---


def open_breaker(now=NOW):
    breaker = Breaker()
    for number in range(5):
        breaker.reject(number, 0, now)
    return breaker


def test_the_fifth_young_token_rejected_within_60_s_opens_it_for_30_s():
    breaker = Breaker()
    for number in range(5):
        assert breaker.allows(NOW)
        breaker.reject(number, age=59_999, now=NOW)

    assert not breaker.allows(NOW)
    assert not breaker.allows(NOW + 29_999)
    assert breaker.allows(NOW + 30_000)


@pytest.mark.parametrize(
    ("ages", "gap", "numbers"),
    [
        pytest.param([60_000] * 9, 0, range(9), id="tokens of 60 s are not young"),
        pytest.param([0] * 9, 15_000, range(9), id="never 5 within 60 s"),
        pytest.param([0] * 200, 0, [3] * 200, id="one token counts once, however many requests carried it"),
    ],
)
def test_it_stays_closed(ages, gap, numbers):
    breaker = Breaker()
    for place, (age, number) in enumerate(zip(ages, numbers, strict=True)):
        breaker.reject(number, age, NOW + place * gap)
        assert breaker.allows(NOW + place * gap)


def test_one_rejection_after_it_closed_opens_it_for_twice_as_long_up_to_10_minutes():
    breaker, now, spans = open_breaker(), NOW + 30_000, []
    for number in range(5, 13):
        assert breaker.allows(now)
        breaker.reject(number, 0, now)
        span = next(span for span in range(0, 700_000, 1_000) if breaker.allows(now + span))
        spans.append(span)
        now += span

    assert spans == [60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000, 600_000]


@pytest.mark.parametrize(("quiet", "is_open"), [(59_999, True), (60_000, False)])
def test_a_quiet_minute_after_it_closed_lets_it_forget(quiet, is_open):
    breaker = open_breaker()
    now = NOW + 30_000 + quiet

    breaker.reject(99, 0, now)

    assert breaker.allows(now) != is_open


@given(gaps=st.lists(st.integers(0, 5_000), max_size=300))
def test_a_server_that_rejects_every_fresh_token_cannot_burn_more_than_five_a_minute(gaps):
    """Every refresh below is caused by the rejection of the one before."""
    breaker, now, refreshes = Breaker(), NOW, []
    for gap in gaps:
        now += gap
        breaker.reject(len(refreshes), 0, now)
        if breaker.allows(now):
            refreshes.append(now)

    assert all(sum(start <= at < start + 30_000 for at in refreshes) <= 5 for start in refreshes)
