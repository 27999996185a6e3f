"""Reading an `Authorization` header: one scheme, one credential, nothing repaired."""

import contextlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.authorization import MAX_VALUE_LENGTH, Basic, Bearer, parse_authorization
from hourpass.core.errors import InvalidToken


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


@pytest.mark.parametrize(
    "value",
    [b"Bearer a.b.c", b"bearer a.b.c", b"BEARER a.b.c", b"Bearer   a.b.c", b"Bearer a.b.c \t ", b"bEaReR a.b.c\t"],
)
def test_a_bearer_token_is_read_whatever_the_case_and_the_spaces_around_it(value):
    """RFC 9110 §11.1: the scheme is case-insensitive; §11.4: 1*SP follows it."""
    assert parse_authorization(value) == Bearer(b"a.b.c")


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer",
        b"Bearer ",
        b"Bearer \t",
        b"Bearer\t",
        b"Bearer a b",
        b"Bearer a,b",
        b"Bearer a, Bearer b",
        b"Bearer ,",
    ],
)
def test_a_bearer_header_without_exactly_one_token_is_malformed(value):
    with pytest.raises(InvalidToken) as refusal:
        parse_authorization(value)

    assert refusal.value.problem == "malformed"


def test_nothing_but_spaces_is_taken_off_in_front_of_a_token():
    assert parse_authorization(b"Bearer \ta") == Bearer(b"\ta")
    assert parse_authorization(b"Bearer \xa0a") == Bearer(b"\xa0a")


@pytest.mark.parametrize(
    "value", [b"", b" ", b"a.b.c", b"Digest x", b"Bearers a", b"Bearer=a", b"Bearer\ta", b" Bearer a"]
)
def test_another_scheme_is_no_credential_at_all(value):
    assert parse_authorization(value) is None


@pytest.mark.parametrize(
    ("value", "user", "password"),
    [
        (basic(b"key:secret"), "key", "secret"),
        (basic(b"key:"), "key", ""),
        (basic(b":secret"), "", "secret"),
        (basic(b":"), "", ""),
        (basic(b"key:a:b"), "key", "a:b"),
        (basic("clé:ü".encode()), "clé", "ü"),
        (b"bAsIc   " + b64encode(b"key:x") + b" \t", "key", "x"),
    ],
)
def test_basic_splits_at_the_first_colon(value, user, password):
    """RFC 7617 §2."""
    assert parse_authorization(value) == Basic(user, password)


@pytest.mark.parametrize(
    "value",
    [
        b"Basic",
        b"Basic ",
        basic(b"no colon"),
        basic(b"\xff:x"),
        basic(b"key:secret")[:-1],
        basic(b"key:secret") + b"=",
        b"Basic a2V5 OnNlY3JldA==",
        b"Basic a2V5\nOnNlY3JldA==",
        b"Basic \xc3\xa9",
        basic(b"k:s") + b", " + basic(b"k:s"),
    ],
)
def test_basic_that_is_not_base64_of_a_pair_is_malformed(value):
    with pytest.raises(InvalidToken) as refusal:
        parse_authorization(value)

    assert refusal.value.problem == "malformed"


def test_a_value_is_at_most_as_long_as_our_longest_token_and_its_scheme():
    longest = b"Bearer " + b"a" * (MAX_VALUE_LENGTH - 7)

    assert parse_authorization(longest) == Bearer(longest[7:])
    with pytest.raises(InvalidToken, match="too long"):
        parse_authorization(longest + b"a")


def test_no_repr_shows_a_credential():
    assert repr(Bearer(b"token")) == "Bearer(…)"
    assert repr(Basic("user", "password")) == "Basic(…)"


schemes = st.sampled_from([b"", b"Bearer ", b"Basic ", b"bearer\t", b"basic"])


@given(schemes, st.binary(max_size=64) | st.binary(max_size=24).map(b64encode))
def test_no_bytes_whatever_raise_anything_else(scheme, rest):
    with contextlib.suppress(InvalidToken):
        parsed = parse_authorization(scheme + rest)
        assert parsed is None or isinstance(parsed, Bearer | Basic)
