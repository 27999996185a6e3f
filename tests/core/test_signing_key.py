"""The life of a signing key: published -> signing -> verify_only -> gone, and the handover from one to the next."""

import pytest

from hourpass.core.policy import HOUR, LEEWAY, MINUTE, Policy
from hourpass.core.signing_key import (
    SigningKey,
    key_that_signs,
    retire,
    schedule,
    signing_key_state,
    signs_until,
    stand_in,
)

START = 1_800_000_000_000
POLICY = Policy(access_token_lifetime=HOUR, publish_ahead=10 * MINUTE)
SIGNS_FROM = START + 10 * MINUTE
RETIRED = START + 24 * HOUR
GONE = RETIRED + HOUR + LEEWAY
KEY = SigningKey("new", "ES256", START, SIGNS_FROM, RETIRED)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (START, "published"),
        (SIGNS_FROM - 1, "published"),
        (SIGNS_FROM, "signing"),
        (RETIRED - 1, "signing"),
        (RETIRED, "verify_only"),
        (GONE - 1, "verify_only"),
        (GONE, "gone"),
    ],
)
def test_at_exactly_a_boundary_the_later_state_holds(now, state):
    assert signing_key_state(KEY, now, POLICY) == state


def test_a_key_without_a_successor_signs_on():
    assert signing_key_state(KEY._replace(retired_at=None), GONE + 365 * 24 * HOUR, POLICY) == "signing"


def test_the_first_key_signs_at_once():
    assert schedule("first", "ES256", [], START, POLICY) == SigningKey("first", "ES256", START, START)


def test_a_successor_is_published_before_it_signs():
    first = schedule("first", "ES256", [], START - HOUR, POLICY)

    assert schedule("next", "Ed25519", [first], START, POLICY) == SigningKey("next", "Ed25519", START, SIGNS_FROM)


def test_a_key_signs_at_once_if_all_others_have_stopped():
    assert schedule("next", "ES256", [KEY], RETIRED, POLICY).signs_from == RETIRED


def test_nothing_signs_if_every_key_has_stopped():
    assert key_that_signs([], START, POLICY) is None
    assert key_that_signs([KEY], RETIRED, POLICY) is None


@pytest.mark.parametrize(
    ("keys", "until"),
    [
        ([KEY], RETIRED),
        ([KEY, KEY._replace(kid="next", signs_from=RETIRED, retired_at=None)], None),
        ([KEY, KEY._replace(kid="next", signs_from=RETIRED, retired_at=GONE)], GONE),
        ([], START),
        ([KEY._replace(signs_from=START - 2, retired_at=START - 1)], START),
    ],
    ids=["no successor", "a successor", "the successor ends", "no key", "every key has stopped"],
)
def test_signing_ends_with_the_last_key_unless_one_has_no_end(keys, until):
    assert signs_until(keys, START, POLICY) == until


def test_a_key_that_waits_signs_if_no_other_does():
    """A first key may have been made by a machine whose clock was two days ahead."""
    later = KEY._replace(kid="later", signs_from=SIGNS_FROM + 1)

    assert key_that_signs([later, KEY], SIGNS_FROM - 1, POLICY) == KEY
    assert key_that_signs([later, KEY._replace(kid="signs", signs_from=START)], START, POLICY).kid == "signs"


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_that_could_sign_the_newest_does(order):
    older = SigningKey("older", "ES256", START, START)
    newer = SigningKey("newer", "ES256", START, START + 1)

    assert key_that_signs([older, newer][::order], START, POLICY) == older
    assert key_that_signs([older, newer][::order], START + 1, POLICY) == newer


def test_a_handover_leaves_no_instant_without_exactly_one_signer():
    first = schedule("first", "ES256", [], START - HOUR, POLICY)
    successor = schedule("next", "ES256", [first], START, POLICY)
    keys = [retire(first, successor), successor]

    for now, kid in [(START, "first"), (SIGNS_FROM - 1, "first"), (SIGNS_FROM, "next"), (SIGNS_FROM + 1, "next")]:
        assert [key.kid for key in keys if signing_key_state(key, now, POLICY) == "signing"] == [kid]


def test_a_retired_key_verifies_the_last_token_it_signed_to_its_end():
    first = schedule("first", "ES256", [], START - HOUR, POLICY)
    retired = retire(first, schedule("next", "ES256", [first], START, POLICY))
    last_token_accepted_until = SIGNS_FROM - 1 + POLICY.access_token_lifetime + LEEWAY

    assert signing_key_state(retired, last_token_accepted_until, POLICY) == "verify_only"
    assert signing_key_state(retired, last_token_accepted_until + 1, POLICY) == "gone"


@pytest.mark.parametrize(
    ("now", "signs_from"),
    [(START, SIGNS_FROM), (SIGNS_FROM, SIGNS_FROM), (SIGNS_FROM + 1, SIGNS_FROM + 1)],
    ids=["it waits", "it begins to sign", "it signs"],
)
@pytest.mark.parametrize("retired_at", [None, RETIRED], ids=["without a successor", "with one"])
def test_a_stand_in_signs_whenever_the_withdrawn_key_still_would_have(now, signs_from, retired_at):
    withdrawn = KEY._replace(retired_at=retired_at)

    assert stand_in("fresh", withdrawn, now) == SigningKey("fresh", "ES256", now, signs_from, retired_at)
