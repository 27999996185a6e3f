"""The refresh transaction, step by step: what is sent, what is kept, when it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.conftest import HOUR, NOW, credential

from hourpass.client.refresh.transaction import (
    EXCHANGE_INTERVAL,
    Adopt,
    GiveUp,
    Granted,
    KeepGood,
    NotAccepted,
    PostExchange,
    PostRefresh,
    Transaction,
    Transient,
    Unknown,
    Wait,
)

DUE = NOW + 2_700_000
DEAD = NOW + HOUR
REFRESH, EXCHANGE = PostRefresh("refresh"), PostExchange()


def steps(transaction, cached, now, *outcomes, jitter=0.5):
    """The steps in turn: one before the first outcome and one after each."""
    taken = [transaction.next(cached, now, jitter)]
    for outcome in outcomes:
        transaction.record(outcome)
        taken.append(transaction.next(cached, now, jitter))
    return taken


def begin(*, rejected=None, has_key=True, failures=0):
    return Transaction(rejected=rejected, has_key=has_key, failures=failures)


@pytest.mark.parametrize(
    ("number", "now", "rejected", "is_adopted"),
    [
        pytest.param(1, NOW, None, True, id="fresh"),
        pytest.param(1, DUE - 1, None, True, id="fresh to the last millisecond"),
        pytest.param(1, DUE, None, False, id="due"),
        pytest.param(1, NOW, 1, False, id="fresh but rejected"),
        pytest.param(2, NOW, 1, True, id="newer than the rejected one"),
        pytest.param(2, DUE, 1, True, id="newer and due"),
        pytest.param(2, DEAD, 1, False, id="newer and past hard"),
    ],
)
def test_a_credential_is_adopted_if_it_answers_the_question(number, now, rejected, is_adopted):
    cached = credential(number=number)

    step = begin(rejected=rejected).next(cached, now, 0)

    assert step == (Adopt(cached) if is_adopted else REFRESH)


@pytest.mark.parametrize(
    ("cached", "has_key", "step"),
    [
        pytest.param(None, True, EXCHANGE, id="nothing yet"),
        pytest.param(credential(refresh_token=None), True, EXCHANGE, id="a server without refresh tokens"),
        pytest.param(credential(), False, REFRESH, id="no key is needed to refresh"),
    ],
)
def test_the_cache_and_the_key_decide_what_is_sent_first(cached, has_key, step):
    assert begin(has_key=has_key).next(cached, DEAD, 0) == step


@pytest.mark.parametrize("has_token", [True, False])
def test_without_token_and_key_it_gives_up(has_token):
    taken = steps(
        begin(has_key=False), credential() if has_token else None, DEAD, *[NotAccepted("revoked")] * has_token
    )

    assert isinstance(taken[-1], GiveUp)
    assert taken[-1].reason == ("revoked" if has_token else None)


def test_an_unknown_outcome_resends_the_same_token_twice_and_no_more():
    """contract.md, promise 2."""
    taken = steps(begin(), credential(), DEAD, *[Unknown("dropped")] * 3)

    assert taken == [REFRESH, REFRESH, REFRESH, Wait(DEAD + 500, "dropped")]


def test_an_unknown_exchange_is_sent_again_too():
    assert steps(begin(), None, DEAD, Unknown("dropped")) == [EXCHANGE, EXCHANGE]


@pytest.mark.parametrize(("has_good", "end"), [(True, KeepGood), (False, Wait)])
@pytest.mark.parametrize("trouble", [Transient("503"), Transient("no connection", 0)])
def test_transient_trouble_ends_it_and_keeps_what_is_good(trouble, has_good, end):
    now = DUE if has_good else DEAD

    assert steps(begin(), credential(), now, trouble) == [REFRESH, end(now + 500, trouble.why)]


def test_a_rejected_token_is_not_kept_as_good():
    assert steps(begin(rejected=1), credential(), DUE, Transient("503"))[-1] == Wait(DUE + 500, "503")


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [(None, 500), (0, 500), (499, 500), (7_000, 7_000), (600_000, 600_000), (600_001, 600_000)],
)
def test_retry_after_is_honoured_up_to_ten_minutes(retry_after, pause):
    """RFC 9110 §10.2.3."""
    assert steps(begin(), credential(), DUE, Transient("429", retry_after))[-1] == KeepGood(DUE + pause, "429")


def test_a_refused_refresh_token_is_healed_by_the_api_key():
    assert steps(begin(), credential(), DEAD, NotAccepted("revoked")) == [REFRESH, EXCHANGE]


def test_a_refused_refresh_token_that_a_sibling_has_rotated_meanwhile_is_tried_once_more():
    transaction = begin()
    rotated = credential(refresh_token="rotated", number=1, issued_at=NOW - HOUR)
    again = credential(refresh_token="and again", number=1, issued_at=NOW - HOUR)

    assert transaction.next(credential(), DEAD, 0) == REFRESH
    transaction.record(NotAccepted())
    assert transaction.next(rotated, DEAD, 0) == PostRefresh("rotated")
    transaction.record(NotAccepted())
    assert transaction.next(again, DEAD, 0) == EXCHANGE


def test_a_refused_refresh_token_that_a_sibling_has_followed_up_is_forgotten_for_its_credential():
    transaction = begin()
    sibling = credential(number=2, issued_at=DEAD)

    transaction.next(credential(), DEAD, 0)
    transaction.record(NotAccepted())

    assert transaction.next(sibling, DEAD, 0) == Adopt(sibling)


@pytest.mark.parametrize(
    ("age", "end"),
    [(0, "wait"), (EXCHANGE_INTERVAL - 1, "wait"), (EXCHANGE_INTERVAL, "exchange")],
)
def test_healing_exchanges_the_key_once_in_30_s(age, end):
    exchanged_at = DEAD - age
    cached = credential(exchanged_at=exchanged_at)

    last = steps(begin(), cached, DEAD, NotAccepted())[-1]

    if end == "exchange":
        assert last == EXCHANGE
    else:
        assert last == Wait(exchanged_at + EXCHANGE_INTERVAL, "the API key was exchanged just before")


def test_a_server_without_refresh_tokens_may_be_asked_as_often_as_its_tokens_end():
    cached = credential(refresh_token=None, lifetime=12_000, exchanged_at=NOW)

    assert begin().next(cached, NOW + 10_000, 0) == EXCHANGE


def test_a_refused_key_ends_it():
    assert steps(begin(), credential(), DEAD, NotAccepted("revoked"), NotAccepted("expired"))[-1] == GiveUp(
        "the server does not accept the API key", "expired"
    )


@given(
    outcomes=st.lists(
        st.sampled_from([NotAccepted("revoked"), Transient("503", 5_000), Transient("down"), Unknown("dropped")]),
        min_size=6,
        max_size=6,
    ),
    has_key=st.booleans(),
    rejected=st.none() | st.just(1),
    now=st.sampled_from([NOW, DUE, DEAD]),
)
def test_every_transaction_ends_within_six_steps_and_sends_no_dead_token(outcomes, has_key, rejected, now):
    transaction, refused, cached = begin(has_key=has_key, rejected=rejected), False, credential()
    for outcome in outcomes:
        step = transaction.next(cached, now, 0.5)
        if not isinstance(step, PostRefresh | PostExchange):
            break
        assert not (refused and isinstance(step, PostRefresh))
        assert has_key or isinstance(step, PostRefresh)
        refused = refused or (isinstance(step, PostRefresh) and isinstance(outcome, NotAccepted))
        transaction.record(outcome)
    else:
        step = transaction.next(cached, now, 0.5)
    assert isinstance(step, Adopt | KeepGood | Wait | GiveUp)
    if isinstance(step, KeepGood | Wait):
        assert step.until > now
    if isinstance(step, GiveUp):
        assert refused


@pytest.mark.parametrize(
    "value", [PostRefresh("SECRET"), Granted("SECRET", "SECRET", 1)], ids=lambda v: type(v).__name__
)
def test_no_repr_holds_a_token(value):
    assert "SECRET" not in repr(value)
