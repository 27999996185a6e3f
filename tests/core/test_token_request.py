"""The wishes of a caller: only narrower, only shorter, each at its exact boundary."""

import pytest
from tests.core.test_api_key import START, stored_key

from hourpass.core.errors import InvalidRequest, InvalidScope, InvalidTarget
from hourpass.core.policy import HOUR, SECOND, Policy
from hourpass.core.token_request import PLAIN_REQUEST, TokenRequest

POLICY = Policy(access_token_lifetime=HOUR)


@pytest.mark.parametrize(
    ("scope", "granted"),
    [(None, "videos.read videos.write"), ("videos.read", "videos.read"), ("videos.write videos.read",) * 2],
)
def test_a_scope_is_granted_out_of_what_is_owned(scope, granted):
    assert set(TokenRequest(scope).narrowed("videos.read videos.write").split()) == set(granted.split())


@pytest.mark.parametrize("scope", ["videos.delete", "videos.read videos.delete", 'videos"read'])
def test_more_than_is_owned_is_refused(scope):
    with pytest.raises(InvalidScope):
        TokenRequest(scope).narrowed("videos.read")


def test_a_lifetime_is_at_least_a_second():
    PLAIN_REQUEST.require_lifetime()
    TokenRequest(expires_in=1).require_lifetime()
    for none in (0, -1):
        with pytest.raises(InvalidRequest):
            TokenRequest(expires_in=none).require_lifetime()


@pytest.mark.parametrize(("expires_in", "seconds"), [(None, 3600), (3599, 3599), (3600, 3600), (3601, 3600), (1, 1)])
def test_a_request_shortens_the_lifetime_and_never_lengthens_it(expires_in, seconds):
    assert TokenRequest(expires_in=expires_in).lifetime(stored_key(), POLICY, START) == seconds


@pytest.mark.parametrize(
    ("left", "seconds"), [(HOUR + SECOND, 3600), (HOUR, 3600), (HOUR - 1, 3599), (2 * SECOND, 2), (1, 1)]
)
def test_no_token_outlives_its_key_but_by_less_than_a_second(left, seconds):
    assert PLAIN_REQUEST.lifetime(stored_key(expires_at=START + left), POLICY, START) == seconds


def test_the_shorter_of_request_and_key_is_granted():
    key = stored_key(expires_at=START + 60 * SECOND)

    assert TokenRequest(expires_in=30).lifetime(key, POLICY, START) == 30
    assert TokenRequest(expires_in=90).lifetime(key, POLICY, START) == 60


@pytest.mark.parametrize("audience", [None, "https://api.example.com"])
def test_the_keys_own_audience_may_be_asked_for(audience):
    TokenRequest(audience=audience).audience_of(("https://api.example.com",))


@pytest.mark.parametrize("audience", ["https://other.example.com", "", "https://api.example.com/"])
def test_another_audience_is_an_invalid_target(audience):
    """RFC 8707 §2."""
    with pytest.raises(InvalidTarget):
        TokenRequest(audience=audience).audience_of(("https://api.example.com",))


OWNED = ("first", "second", "third")


@pytest.mark.parametrize(
    ("asked", "granted", "audience"),
    [
        (None, None, "first"),
        ("first", None, "first"),
        ("third", None, "third"),
        ("fourth", None, None),
        ("", None, None),
        (None, "second", "second"),
        ("second", "second", "second"),
        ("first", "second", None),
        (None, "taken away", None),
        ("taken away", "taken away", None),
    ],
)
def test_the_audience_is_what_is_asked_for_of_what_the_grant_and_its_key_have(asked, granted, audience):
    """RFC 8707 §2.2: a refresh gets no more than its exchange asked for."""
    request = TokenRequest(audience=asked)

    if audience is None:
        with pytest.raises(InvalidTarget):
            request.audience_of(OWNED, granted)
    else:
        assert request.audience_of(OWNED, granted) == audience


@pytest.mark.parametrize(("of_key", "asked", "lives"), [(60_000, None, 60), (60_000, 30, 30), (7_200_000, None, 3_600)])
def test_a_key_shortens_the_lifetime_and_never_lengthens_it(of_key, asked, lives):
    key = stored_key(access_token_lifetime=of_key)

    assert TokenRequest(expires_in=asked).lifetime(key, Policy(), START) == lives
