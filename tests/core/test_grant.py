"""The refresh decision, case by case and at each exact boundary: Rotate, Burst, Retry, Replay, Ahead, Dead."""

import pytest

from hourpass.core.grant import Ahead, Burst, Dead, Grant, Replay, Retry, Rotate, decide_refresh, open_grant, revoke
from hourpass.core.policy import DAY, HOUR, MAX_RETRY_WINDOW, MINUTE, RING_SIZE, Policy

START = 1_800_000_000_000
WINDOW = MINUTE
POLICY = Policy(retry_window=WINDOW, idle_lifetime=30 * DAY, absolute_lifetime=90 * DAY)
STRICT = POLICY.with_retry_window(0)


def new_grant(**changes) -> Grant:
    grant = open_grant(grant_id=b"g" * 16, seed=b"s" * 16, key_id="key", scope=None, now=START, policy=POLICY)
    return grant._replace(**changes)


def rotated(grant: Grant, *instants: int, policy: Policy = POLICY) -> Grant:
    """The grant after a rotation at each of the instants."""
    for now in instants:
        decision = decide_refresh(grant, grant.generation, now, policy)
        assert isinstance(decision, Rotate)
        grant = decision.grant
    return grant


def test_a_grant_owns_what_its_key_owns_unless_the_exchange_narrowed_it():
    assert new_grant().owned_scope("a b") == "a b"
    assert new_grant(scope="a").owned_scope("a b") == "a"
    assert new_grant(scope="").owned_scope("a b") == ""


@pytest.mark.parametrize(("of_key", "left"), [("a b", "a b"), ("a", "a"), ("b c", "b"), ("c", ""), ("", "")])
def test_a_narrowed_grant_keeps_no_scope_that_its_key_has_lost(of_key, left):
    assert new_grant(scope="a b").owned_scope(of_key) == left


def test_the_current_generation_rotates():
    grant = new_grant()

    decision = decide_refresh(grant, 0, START + HOUR, POLICY)

    assert decision == Rotate(
        grant._replace(generation=1, superseded=(START + HOUR,), idle_expires_at=START + HOUR + 30 * DAY)
    )


def test_a_generation_begins_at_the_exchange_or_at_its_rotation():
    grant = new_grant()

    assert grant.generation_at == grant.created_at
    assert rotated(grant, START + 5, START + 9).generation_at == START + 9


def test_a_rotation_slides_the_idle_expiry_but_never_past_the_absolute_one():
    grant = new_grant(idle_expires_at=START + 90 * DAY)

    assert rotated(grant, START + 60 * DAY - 1).idle_expires_at == START + 90 * DAY - 1
    assert rotated(grant, START + 60 * DAY).idle_expires_at == START + 90 * DAY
    assert rotated(grant, START + 89 * DAY).idle_expires_at == START + 90 * DAY
    assert rotated(grant, START + 89 * DAY).expires_at == grant.expires_at


@pytest.mark.parametrize("window", [1, WINDOW, MAX_RETRY_WINDOW])
def test_a_retry_at_exactly_the_window_is_answered_and_changes_nothing(window):
    policy = POLICY.with_retry_window(window)
    grant = rotated(new_grant(), START + HOUR, policy=policy)

    assert decide_refresh(grant, 0, START + HOUR, policy) == Retry(grant)
    assert decide_refresh(grant, 0, START + HOUR + window, policy) == Retry(grant)


@pytest.mark.parametrize("window", [0, 1, WINDOW, MAX_RETRY_WINDOW])
def test_a_replay_a_millisecond_after_the_window_revokes_the_grant(window):
    """RFC 9700 §4.14.2: a refresh token that was used already is a sign of theft."""
    policy = POLICY.with_retry_window(window)
    grant = rotated(new_grant(), START + HOUR, policy=policy)
    late = START + HOUR + window + 1

    decision = decide_refresh(grant, 0, late, policy)

    assert decision == Replay(grant._replace(revoked_at=late, revoked_why="replayed"))


def test_every_generation_in_the_window_is_answered_with_the_current_one():
    grant = rotated(new_grant(), START, START + 10, START + 20)

    assert [decide_refresh(grant, n, START + WINDOW, POLICY) for n in range(3)] == [Retry(grant)] * 3


def test_each_generation_has_a_window_of_its_own():
    grant = rotated(new_grant(), START, START + 10)

    assert isinstance(decide_refresh(grant, 0, START + WINDOW + 1, POLICY), Replay)
    assert decide_refresh(grant, 1, START + WINDOW + 1, POLICY) == Retry(grant)
    assert decide_refresh(grant, 1, START + WINDOW + 10, POLICY) == Retry(grant)
    assert isinstance(decide_refresh(grant, 1, START + WINDOW + 11, POLICY), Replay)


def test_a_retry_does_not_lengthen_its_own_window():
    grant = rotated(new_grant(), START)
    retry = decide_refresh(grant, 0, START + WINDOW, POLICY)
    assert isinstance(retry, Retry)

    assert isinstance(decide_refresh(retry.grant, 0, START + WINDOW + 1, POLICY), Replay)


def test_a_key_s_own_window_applies_from_the_next_decision_on():
    grant = rotated(new_grant(), START)
    shorter = POLICY.with_retry_window(10)

    assert decide_refresh(grant, 0, START + 10, shorter) == Retry(grant)
    assert isinstance(decide_refresh(grant, 0, START + 11, shorter), Replay)


def test_rotation_number_k_in_the_window_still_rotates_and_the_next_one_is_a_burst():
    grant = rotated(new_grant(), *range(START, START + RING_SIZE))

    assert grant.generation == RING_SIZE
    assert decide_refresh(grant, RING_SIZE, START + RING_SIZE, POLICY) == Burst(grant)


def test_a_burst_ends_when_the_first_of_k_rotations_leaves_the_window():
    grant = rotated(new_grant(), *range(START, START + RING_SIZE))

    assert decide_refresh(grant, RING_SIZE, START + WINDOW, POLICY) == Burst(grant)
    assert isinstance(decide_refresh(grant, RING_SIZE, START + WINDOW + 1, POLICY), Rotate)


def test_a_burst_keeps_the_oldest_generation_in_the_window_retryable():
    grant = rotated(new_grant(), *range(START, START + RING_SIZE))

    assert decide_refresh(grant, 0, START + WINDOW, POLICY) == Retry(grant)


def test_a_generation_that_fell_off_the_ring_is_a_replay_however_young():
    """Only a change of the key's window can bring this about: with one window a burst keeps the ring in place."""
    grant = rotated(new_grant(), *[START] * (RING_SIZE + 1), policy=STRICT)

    assert decide_refresh(grant, 1, START, POLICY) == Retry(grant)
    assert isinstance(decide_refresh(grant, 0, START, POLICY), Replay)


def test_without_a_window_a_second_use_within_the_same_millisecond_is_a_replay():
    grant = rotated(new_grant(), START, policy=STRICT)

    assert isinstance(decide_refresh(grant, 0, START, STRICT), Replay)


def test_without_a_window_nothing_is_a_burst():
    grant = rotated(new_grant(), *[START] * 3 * RING_SIZE, policy=STRICT)

    assert grant.generation == 3 * RING_SIZE


@pytest.mark.parametrize("ahead", [1, 2, 2**63 - 1])
def test_a_generation_not_reached_yet_is_refused_without_revoking(ahead):
    grant = new_grant()

    assert decide_refresh(grant, ahead, START, POLICY) == Ahead(grant)


@pytest.mark.parametrize("expiry", ["idle_expires_at", "expires_at"])
def test_a_grant_is_dead_at_exactly_its_expiry_and_alive_a_millisecond_before(expiry):
    grant = new_grant(**{expiry: START + HOUR})

    assert isinstance(decide_refresh(grant, 0, START + HOUR - 1, POLICY), Rotate)
    assert decide_refresh(grant, 0, START + HOUR, POLICY) == Dead("expired")


def test_an_unknown_grant_is_dead():
    assert decide_refresh(None, 0, START, POLICY) == Dead("unknown")


@pytest.mark.parametrize(
    ("why", "reason"), [("replayed", "replayed"), ("revoked", "revoked"), ("token_revoked", "revoked")]
)
def test_a_revoked_grant_is_dead_and_tells_a_replay_from_a_decision(why, reason):
    grant = revoke(new_grant(), START, why)

    assert decide_refresh(grant, 0, START, POLICY) == Dead(reason)


def test_a_disabled_key_ends_refreshing():
    assert decide_refresh(new_grant(), 0, START, POLICY, key_usable=False) == Dead("key_disabled")


REVOKED = {"revoked_at": START, "revoked_why": "revoked"}
EXPIRED = {"idle_expires_at": START}


@pytest.mark.parametrize("generation", [0, 1, 2], ids=["replayed", "current", "ahead"])
@pytest.mark.parametrize(
    ("state", "key_usable", "reason"),
    [
        (REVOKED | EXPIRED, False, "revoked"),
        (REVOKED | EXPIRED, True, "revoked"),
        (EXPIRED, False, "key_disabled"),
        (EXPIRED, True, "expired"),
    ],
    ids=["revoked-first", "revoked-before-expired", "key-before-expired", "expired-before-generation"],
)
def test_the_reason_is_the_first_that_holds_and_a_dead_grant_is_not_revoked_again(
    state, key_usable, reason, generation
):
    grant = new_grant(generation=1, superseded=(START - HOUR,), **state)

    assert decide_refresh(grant, generation, START, POLICY, key_usable=key_usable) == Dead(reason)


def test_a_clock_that_steps_back_makes_no_replay_of_a_retry():
    grant = rotated(new_grant(), START)

    assert decide_refresh(grant, 0, START - HOUR, POLICY) == Retry(grant)


def test_a_clock_that_steps_back_never_makes_an_older_generation_look_younger():
    grant = rotated(new_grant(), START + 1_000, START, START + 2_000)

    assert grant.superseded == (START + 2_000, START + 1_000, START + 1_000)


def test_the_idle_expiry_follows_the_clock_as_it_is():
    grant = rotated(new_grant(), START + 1_000, START)

    assert grant.idle_expires_at == START + 30 * DAY


def test_the_ring_forgets_what_no_window_can_reach():
    grant = rotated(new_grant(), START)

    assert rotated(grant, START + MAX_RETRY_WINDOW).superseded == (START + MAX_RETRY_WINDOW, START)
    assert rotated(grant, START + MAX_RETRY_WINDOW + 1).superseded == (START + MAX_RETRY_WINDOW + 1,)


def test_the_ring_never_holds_more_than_k():
    grant = rotated(new_grant(), *range(START, START + RING_SIZE + 2), policy=STRICT)

    assert grant.superseded == tuple(range(START + RING_SIZE + 1, START + 1, -1))
