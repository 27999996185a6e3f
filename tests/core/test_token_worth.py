"""What an operator is told of a token: a stable word for the reason, and a sentence."""

from typing import get_args

import pytest
from tests.core.test_api_key import stored_key
from tests.core.test_grant import POLICY, START, new_grant, rotated

from hourpass.core.claims import UnverifiedClaims
from hourpass.core.duration import span
from hourpass.core.errors import InvalidToken, RefusalReason
from hourpass.core.grant import Ahead, Burst, Dead, Replay, Retry, Rotate
from hourpass.core.policy import DAY, HOUR, SECOND
from hourpass.core.revocation import Kind
from hourpass.core.token_worth import dead_refresh, forged, invalid_access, refresh_worth, revoked_by, valid_access

GRANT = new_grant()
KEY = stored_key()
CLAIMS = UnverifiedClaims("iss", "sub", "aud", START // SECOND + 3600, START // SECOND, "jti", "key", "", "sid", "env")


def test_a_span_has_its_two_largest_units():
    assert [span(ms) for ms in (0, -61_000, HOUR, 29 * DAY + 23 * HOUR + 59_000)] == [
        "0 s",
        "1 min 1 s",
        "1 h",
        "29 d 23 h",
    ]


@pytest.mark.parametrize(
    ("decision", "reason", "words"),
    [
        (Rotate(GRANT), None, "yes, until it is used, or for 30 d more"),
        (Burst(GRANT), None, "yes, until it is used, or for 30 d more"),
        (Replay(GRANT), "replayed", "no: it was used before"),
        (Ahead(GRANT), "ahead", "no: it is newer than this database"),
        (Dead("expired"), "expired", "no: it has expired"),
        (Dead("invalid_target"), "invalid_target", "no: invalid target"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_decision_on_a_refresh_token_has_a_word_and_a_sentence(decision, reason, words):
    worth = refresh_worth(decision, GRANT, 0, POLICY, START, KEY)

    assert (worth.reason, worth.valid) == (reason, reason is None)
    assert worth.words.startswith(words)


def test_a_retry_says_how_long_it_may_be_repeated():
    grant = rotated(GRANT, START)

    assert refresh_worth(Retry(grant), grant, 0, POLICY, START + 20 * SECOND, KEY).words == (
        "yes, for 40 s more: it was used 20 s ago and may be retried"
    )


@pytest.mark.parametrize(
    ("problem", "at", "words"),
    [
        ("expired", START + 2 * HOUR, "no: it expired 1 h ago"),
        ("not_yet_valid", START - HOUR, "no: it was issued 1 h in the future, by this machine's clock"),
        ("exchange_required", START, "no: exchange required"),
    ],
)
def test_the_claims_that_are_refused_name_the_problem(problem, at, words):
    assert invalid_access(InvalidToken(problem), CLAIMS, at) == (problem, words)


def test_an_access_token_that_nothing_refuses_says_for_how_long():
    assert valid_access(CLAIMS, START) == (None, "yes, for 1 h more")


def test_what_refuses_a_token_has_a_word_of_its_own():
    reasons = [revoked_by(kind, None, START).reason for kind in get_args(Kind)] + [forged("abc").reason]

    assert len(set(reasons)) == 5
    assert None not in reasons
    assert "abc" in forged("abc").words


@pytest.mark.parametrize(
    ("key", "reason", "words"),
    [
        (KEY._replace(revoked_at=START, disabled_at=START), "key_revoked", "was revoked"),
        (KEY._replace(expires_at=START), "key_disabled", "has expired"),
        (KEY._replace(disabled_at=START), "key_disabled", "is disabled until somebody enables it"),
        (KEY, "key_tokens_ended", "which ended the tokens from before"),
        (None, "key_revoked", "does not have its API key"),
    ],
    ids=["revoked", "expired", "disabled", "active again", "unknown"],
)
def test_a_token_that_ended_with_its_key_says_what_became_of_the_key(key, reason, words):
    access = revoked_by("key", key, START)
    refresh = refresh_worth(Dead("key_disabled"), GRANT, 0, POLICY, START, key)

    assert (access.reason, access.words.endswith(words)) == (reason, True)
    assert (refresh.reason, refresh.words) == ("key_disabled", access.words)


def test_only_a_refresh_token_of_ours_is_dead():
    dead = {reason for reason in get_args(RefusalReason) if dead_refresh(reason) is not None}

    assert dead == {"expired", "replayed", "revoked", "address_not_allowed", "unknown"}
