"""How the secret of an API key is replaced: what is made, what goes on, what ends, and when."""

import pytest

from hourpass.core.api_key import (
    ApiKey,
    KeySecret,
    is_well_formed,
    issued_at,
    may_have_tokens,
    opened_at,
    still_proves,
    unverified_key_id,
    why_refused_now,
    why_unusable,
)
from hourpass.core.key_rotation import (
    ENDED,
    ENDED_KEPT,
    CannotRotate,
    MakeNext,
    SameAgain,
    TwoAlive,
    decide_rotation,
    decide_rotation_at_once,
    first_use,
    is_alive,
    may_be_pending,
    next_key_text,
    old_secret_until,
    pending_secret,
)
from hourpass.core.policy import DAY, MINUTE

NOW = 1_800_000_000_500
SEED = bytes(16)


def secret(n: int, **members) -> KeySecret:
    return KeySecret(n.to_bytes(32, "big"), n, NOW - 1_000 + n, seed=SEED if n else None)._replace(**members)


def key(*secrets: KeySecret, key_id: str = "0aZkey000001", **members) -> ApiKey:
    plain = ApiKey(key_id, "a", "a", "", "production", None, None, (), NOW - 1_000, secrets=secrets)
    return plain._replace(**members)


OLD, NEXT = secret(0), secret(1, overlap=100)
USED = (OLD._replace(ends_at=NOW + 100), NEXT._replace(first_used_at=NOW))


def test_a_key_with_one_secret_gets_a_next_one_beside_it():
    assert decide_rotation(key(OLD), NOW) == MakeNext(1, (OLD,), ())
    assert decide_rotation(key(OLD), NOW, OLD) == MakeNext(1, (OLD,), ())


def test_an_operator_who_asks_again_before_the_first_use_replaces_the_unused_one():
    assert decide_rotation(key(OLD, NEXT), NOW) == MakeNext(2, (OLD,), (NEXT,))


def test_the_same_question_of_the_old_secret_has_the_same_answer_before_and_after_the_first_use():
    assert decide_rotation(key(OLD, NEXT), NOW, OLD) == SameAgain(NEXT)
    assert decide_rotation(key(*USED), NOW + 99, USED[0]) == SameAgain(USED[1])


def test_a_next_secret_of_random_text_cannot_be_said_again():
    """It is replaced while it waits, and waited for while two are alive."""
    random = NEXT._replace(seed=None)

    assert decide_rotation(key(OLD, random), NOW, OLD) == MakeNext(2, (OLD,), (random,))
    assert decide_rotation(key(USED[0], USED[1]._replace(seed=None)), NOW, USED[0]) == TwoAlive(NOW + 100)


@pytest.mark.parametrize("presented", [None, USED[1]], ids=["an operator", "the new secret"])
def test_there_is_no_third_secret_while_two_are_alive(presented):
    assert decide_rotation(key(*USED), NOW + 99, presented) == TwoAlive(NOW + 100)
    assert decide_rotation(key(*USED), NOW + 100, presented) == MakeNext(2, (OLD._replace(ends_at=ENDED), USED[1]), ())


def test_the_next_secret_asks_for_its_successor_only_once_the_overlap_of_its_own_first_use_is_over():
    assert decide_rotation(key(OLD, NEXT), NOW, NEXT) == TwoAlive(NOW + 100)
    without = NEXT._replace(overlap=0)
    assert decide_rotation(key(OLD, without), NOW, without) == MakeNext(
        2, (OLD._replace(ends_at=ENDED), without._replace(first_used_at=NOW)), ()
    )


@pytest.mark.parametrize(
    ("members", "why"),
    [({"revoked_at": NOW}, "revoked"), ({"expires_at": NOW}, "expired"), ({"disabled_at": NOW}, "disabled")],
    ids=["revoked", "expired", "disabled"],
)
def test_a_key_that_has_ended_cannot_rotate(members, why):
    assert decide_rotation(key(OLD, **members), NOW) == CannotRotate(why)
    assert decide_rotation(key(OLD, **members), NOW, OLD) == CannotRotate(why)
    assert decide_rotation_at_once(key(OLD, **members), NOW) == CannotRotate(why)


def test_a_secret_that_has_ended_cannot_ask_for_another_one():
    assert decide_rotation(key(*USED), NOW + 100, USED[0]) == CannotRotate("rotated")


def test_the_first_use_makes_the_next_secret_the_current_one_and_the_overlap_begins():
    assert pending_secret(key(OLD, NEXT)) == NEXT
    assert first_use(key(OLD, NEXT), NEXT, NOW) == USED
    assert pending_secret(key(*USED)) is None
    assert old_secret_until(key(*USED), NOW + 99) == NOW + 100
    assert old_secret_until(key(*USED), NOW + 100) is old_secret_until(key(OLD, NEXT), NOW) is None
    assert why_unusable(key(*USED), NOW + 99, USED[0]) is None
    assert why_unusable(key(*USED), NOW + 100, USED[0]) == "rotated"


def test_without_an_overlap_the_old_secret_ends_with_the_first_use():
    old, _ = first_use(key(OLD, NEXT._replace(overlap=None)), NEXT, NOW)

    assert not is_alive(old, NOW)


@pytest.mark.parametrize(
    ("state", "used"),
    [((OLD,), OLD), ((OLD, NEXT), OLD), (USED, NEXT), ((OLD, secret(2)), NEXT)],
    ids=["the only one", "the old one", "used before", "replaced"],
)
def test_any_other_use_changes_nothing(state, used):
    assert first_use(key(*state), used, NOW) is None


def test_a_first_use_leaves_secrets_alone_that_have_ended():
    gone = secret(0, ends_at=ENDED)

    assert first_use(key(gone, secret(1), secret(2, overlap=9)), secret(2), NOW)[0] == gone


def test_the_hot_path_asks_about_a_next_secret_only():
    assert may_be_pending(NEXT)
    assert not may_be_pending(OLD)
    assert not may_be_pending(USED[1])


def test_a_rotation_at_once_ends_every_secret_and_what_was_opened_or_issued_until_the_next_whole_second():
    made = decide_rotation_at_once(key(*USED), NOW)

    assert made == MakeNext(2, tuple(each._replace(ends_at=ENDED) for each in USED), (), True, 1_800_000_001_000)
    assert not any(is_alive(each, 0) for each in made.keep)


def test_a_rotation_at_once_drops_a_next_secret_that_nobody_used():
    assert decide_rotation_at_once(key(OLD, NEXT), NOW).drop == (NEXT,)


def test_the_newest_ended_secrets_are_kept_and_a_number_is_never_given_twice():
    ended = [secret(n, ends_at=NOW) for n in range(ENDED_KEPT + 2)]
    current = secret(ENDED_KEPT + 2)

    made = decide_rotation(key(*ended, current), NOW)

    assert made.n == ENDED_KEPT + 3
    assert [each.n for each in made.keep] == [0, *range(2, ENDED_KEPT + 3)]
    assert [each.n for each in made.drop] == [1]


def test_a_secret_that_was_not_made_here_is_never_forgotten():
    """An import brings it again and again, and must find that it has ended."""
    ended = [secret(n, ends_at=NOW, seed=None) for n in range(20)]

    assert decide_rotation(key(*ended, secret(20)), NOW).drop == ()


def test_a_derived_key_is_the_same_for_the_same_question_and_another_one_for_every_other():
    questions = [
        (b"a" * 32, key(), 1, SEED),
        (b"b" * 32, key(), 1, SEED),
        (b"a" * 32, key(key_id="0aZkey000002"), 1, SEED),
        (b"a" * 32, key(), 2, SEED),
        (b"a" * 32, key(), 1, b"x" * 16),
        (b"a" * 32, key(environment="sandbox"), 1, SEED),
    ]
    texts = [next_key_text(*question) for question in questions]

    assert len(set(texts)) == len(texts)
    assert texts[0] == next_key_text(*questions[0])
    assert all(map(is_well_formed, texts))
    assert unverified_key_id(texts[0]) == "0aZkey000001"
    assert texts[-1].startswith("hp_sandbox_")


def test_a_secret_proves_its_key_until_it_ends_or_is_taken_away():
    assert still_proves(key(*USED), OLD, NOW + 99)
    assert not still_proves(key(*USED), OLD, NOW + 100)
    assert not still_proves(key(NEXT), OLD, NOW)
    assert not still_proves(key(OLD, revoked_at=NOW), OLD, NOW)


@pytest.mark.parametrize(
    ("now", "secrets", "more", "address", "why"),
    [
        (NOW + 99, USED, {}, None, None),
        (NOW + 100, USED, {}, None, "rotated"),
        (NOW, (NEXT,), {}, None, "rotated"),
        (NOW, (OLD,), {"revoked_at": NOW}, None, "revoked"),
        (NOW, (OLD,), {"disabled_at": NOW}, None, "disabled"),
        (NOW, (OLD,), {"allowed_ips": ("192.0.2.0/24",)}, "192.0.2.1", None),
        (NOW, (OLD,), {"allowed_ips": ("192.0.2.0/24",)}, "198.51.100.1", "address_not_allowed"),
        (NOW, (OLD,), {"allowed_ips": ("192.0.2.0/24",)}, None, "address_not_allowed"),
        (NOW, (NEXT,), {"allowed_ips": ("192.0.2.0/24",)}, None, "rotated"),
    ],
)
def test_a_secret_that_was_proven_is_refused_for_what_became_of_its_key(now, secrets, more, address, why):
    assert why_refused_now(key(*secrets, **more), OLD, now, address) == why


@pytest.mark.parametrize(
    ("members", "iat"),
    [
        ({}, 1_800_000_000),
        ({"valid_from": 1_800_000_001_000}, 1_800_000_001),
        ({"tokens_from": 1_800_000_001_000, "valid_from": 5_000}, 1_800_000_001),
        ({"valid_from": 5_000}, 1_800_000_000),
    ],
)
def test_a_new_token_is_never_issued_before_its_keys_tokens_are_good(members, iat):
    assert issued_at(key(OLD, **members), NOW) == iat


def test_a_new_grant_is_never_opened_before_its_keys_grants_are_good():
    assert opened_at(key(OLD), NOW) == opened_at(key(OLD, valid_from=NOW - 1), NOW) == NOW
    assert opened_at(key(OLD, valid_from=NOW + 500), NOW) == NOW + 500


@pytest.mark.parametrize(
    ("members", "may"),
    [
        ({}, True),
        ({"tokens_from": NOW}, True),
        ({"tokens_from": NOW + 1}, False),
        ({"valid_from": NOW + 1, "tokens_from": NOW - DAY}, False),
        ({"disabled_at": NOW - DAY}, True),
        ({"disabled_at": NOW - DAY, "tokens_from": NOW - DAY + MINUTE}, True),
        ({"disabled_at": NOW - DAY, "tokens_from": NOW - DAY + MINUTE + 1}, False),
        ({"disabled_at": NOW - DAY, "valid_from": NOW - DAY + MINUTE + 1}, False),
    ],
)
def test_nothing_is_left_to_end_in_the_second_of_an_end_and_of_a_key_that_is_disabled(members, may):
    assert may_have_tokens(key(OLD, **members), NOW) is may
