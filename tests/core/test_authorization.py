"""Reading an `Authorization` header: one scheme, one credential, nothing repaired."""

import contextlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.authorization import MAX_BASIC_LENGTH, Basic, read_credential
from hourpass.core.errors import InvalidRequest


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


@pytest.mark.parametrize(
    "value",
    [b"Bearer a.b.c", b"bearer a.b.c", b"BEARER a.b.c", b"Bearer   a.b.c", b"Bearer a.b.c \t ", b"bEaReR a.b.c\t"],
)
def test_a_bearer_token_is_read_in_any_case_and_with_any_spaces_around_it(value):
    """RFC 9110 §11.1: the scheme is case-insensitive. §11.4: 1*SP follows it."""
    assert read_credential([value]) == b"a.b.c"


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer",
        b"Bearer ",
        b"Bearer \t",
        b"Bearer\t",
        b"Bearer a b",
        b"bearer  a\t b",
        b"Bearer a, Bearer b",
        b"Bearer a,Bearer b",
    ],
)
def test_a_bearer_header_without_exactly_one_token_is_malformed(value):
    with pytest.raises(InvalidRequest):
        read_credential([value])


@pytest.mark.parametrize("token", [b"\ta", b"\xa0a", b"a\x0c", b"a,b", b'"a"', b"a\x00", b"a" * 100_000])
@pytest.mark.parametrize("spaces", [b" ", b"  "], ids=["one space", "two spaces"])
def test_the_reader_leaves_the_content_of_a_token_to_the_verifier(token, spaces):
    """RFC 6750 §3.1: a malformed token is `invalid_token`."""
    assert read_credential([b"Bearer" + spaces + token]) == token


@pytest.mark.parametrize(
    "value", [b"", b" ", b"a.b.c", b"Digest x", b"Bearers a", b"Bearer=a", b"Bearer\ta", b" Bearer a"]
)
def test_another_scheme_is_not_a_credential(value):
    assert read_credential([value]) is None


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
    assert read_credential([value]) == Basic(user, password)


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
    with pytest.raises(InvalidRequest):
        read_credential([value])


def test_basic_is_read_up_to_a_length():
    longest = b"a:" + b"a" * (MAX_BASIC_LENGTH * 3 // 4 - 2)

    assert read_credential([basic(longest)]) == Basic("a", longest[2:].decode())
    with pytest.raises(InvalidRequest, match="too long"):
        read_credential([basic(longest + b"a")])


def test_no_header_no_credential():
    assert read_credential([]) is None


@pytest.mark.parametrize("second", [b"Bearer a", b"Bearer b", b"", b"Negotiate x", basic(b"k:s")])
def test_several_headers_are_refused_with_any_content(second):
    """RFC 9110 §5.3: Authorization is not a list."""
    for values in ([b"Bearer a", second], [second, b"Bearer a"]):
        with pytest.raises(InvalidRequest):
            read_credential(values)


def test_no_repr_shows_a_password():
    assert repr(Basic("user", "password")) == "Basic(…)"


schemes = st.sampled_from([b"", b"Bearer ", b"Basic ", b"bearer\t", b"basic"])


@given(schemes, st.binary(max_size=64) | st.binary(max_size=24).map(b64encode))
def test_any_bytes_are_read_or_refused(scheme, rest):
    with contextlib.suppress(InvalidRequest):
        assert isinstance(read_credential([scheme + rest]), bytes | Basic | None)


@given(st.binary(max_size=64))
def test_one_space_or_two_and_the_scheme_in_any_case_make_no_difference(rest):
    def read(value):
        try:
            return read_credential([value])
        except InvalidRequest as refusal:
            return str(refusal)

    assert read(b"Bearer " + rest) == read(b"Bearer  " + rest) == read(b"bearer " + rest)
