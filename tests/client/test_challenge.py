"""The meaning of WWW-Authenticate and Retry-After in every spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.client.refresh.challenge import parse_challenges, rejects_token, retry_after_of

WALL = 1_800_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("values", "challenges"),
    [
        ([], []),
        ([""], []),
        (["Bearer"], [("bearer", {})]),
        (["bEARER  realm=x"], [("bearer", {"realm": "x"})]),
        (
            ['Bearer realm="a, b=c", ERROR = "invalid_token"'],
            [("bearer", {"realm": "a, b=c", "error": "invalid_token"})],
        ),
        ([r'Bearer realm="a \"quoted\" word"'], [("bearer", {"realm": 'a "quoted" word'})]),
        (['Basic realm="x", Bearer error="e"'], [("basic", {"realm": "x"}), ("bearer", {"error": "e"})]),
        (["Negotiate, Bearer"], [("negotiate", {}), ("bearer", {})]),
        (["Negotiate YII=, Bearer a=b"], [("negotiate", {}), ("bearer", {"a": "b"})]),
        (["Basic realm=x", "Bearer"], [("basic", {"realm": "x"}), ("bearer", {})]),
        ([" , ,Bearer , ,error=e,, "], [("bearer", {"error": "e"})]),
        (["Bearer error=first, error=second"], [("bearer", {"error": "first"})]),
        (['Bearer error="never closed'], [("bearer", {})]),
        (["Bearer error=e, \x00 Basic"], [("bearer", {"error": "e"})]),
        (["="], []),
    ],
    ids=repr,
)
def test_challenges_are_read_as_far_as_they_can_be(values, challenges):
    """RFC 9110 §11.6.1."""
    assert parse_challenges(values) == challenges


@pytest.mark.parametrize(
    ("values", "rejected"),
    [
        ([], True),
        (["  "], True),
        (["Bearer"], True),
        (['Bearer realm="x", error="invalid_token", error_description="expired"'], True),
        (["Basic realm=x, Bearer"], True),
        (["Basic realm=x", 'Bearer error="invalid_token"'], True),
        (['Bearer error="invalid_request"'], False),
        (['Bearer error="insufficient_scope", scope="a"'], False),
        (["Basic realm=x"], False),
        (['DPoP error="invalid_token"'], False),
        (["="], False),
    ],
    ids=repr,
)
def test_a_challenge_rejects_the_token_if_it_is_bearer_with_invalid_token_or_no_error(values, rejected):
    """RFC 6750 §3.1."""
    assert rejects_token(values) == rejected


@given(values=st.lists(st.text(st.characters(max_codepoint=255)), max_size=4))
def test_no_header_breaks_the_reader(values):
    for challenge in parse_challenges(values):
        assert challenge.scheme == challenge.scheme.lower()


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "value", ["a=" * 20_000, "Bearer " + "a " * 20_000, 'Bearer a="' + "\\" * 40_000, "," * 60_000]
)
def test_a_hostile_header_is_read_in_no_time(value):
    assert len(parse_challenges([value])) <= 20_001


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (None, None),
        ("0", 0),
        (" 7 ", 7_000),
        ("1.5", None),
        ("-1", None),
        ("soon", None),
        ("9" * 30, None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, milliseconds):
    """RFC 9110 §10.2.3."""
    assert retry_after_of(value, WALL) == milliseconds
