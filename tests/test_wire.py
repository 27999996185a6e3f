"""Reading bodies: every malformed kind of the contract, and nothing else ever raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass import wire
from hourpass.core.errors import InvalidRequest

DEEP = wire.MAX_DEPTH


def nested(depth: int, filling: str = "") -> bytes:
    return ('{"apiKey":"k","x":' + "[" * (depth - 1) + filling + "]" * (depth - 1) + "}").encode()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", ()),
        (b"{", ()),
        (b"[]", ()),
        (b'"text"', ()),
        (b"null", ()),
        (b"\xff", ()),
        (b'{"apiKey":"k","x":"\xff"}', ()),
        (b'\xef\xbb\xbf{"apiKey":"k"}', ()),
        (b'{"apiKey":"\\ud800"}', ()),
        (nested(DEEP + 1), ()),
        (b"{}", ("apiKey",)),
        (b'{"apiKey":null}', ("apiKey",)),
        (b'{"apiKey":1}', ("apiKey",)),
        (b'{"apiKey":["k"]}', ("apiKey",)),
        (b'{"APIKEY":"k"}', ("apiKey",)),
        (b'{"apiKey":"k","expiresIn":"60"}', ("expiresIn",)),
        (b'{"apiKey":"k","expiresIn":true}', ("expiresIn",)),
        (b'{"apiKey":"k","expiresIn":1.5}', ("expiresIn",)),
        (b'{"apiKey":1,"scope":2}', ("apiKey", "scope")),
    ],
    ids=ascii,
)
def test_a_malformed_exchange_names_what_is_wrong(body, names):
    with pytest.raises(InvalidRequest) as refusal:
        wire.read_exchange(body)

    assert refusal.value.names == names


@pytest.mark.parametrize(
    "body",
    [
        b'{"apiKey":"k"}\n',
        b' {"apiKey" : "k", "more": {"a": [1]}} ',
        nested(DEEP),
        nested(2, '"' + "[" * 40 + '"'),
        nested(2, '"\\"' + "{" * 40 + '"'),
    ],
    ids=["trailing newline", "unknown members", "deepest", "brackets in a string", "behind an escaped quote"],
)
def test_what_is_well_formed_is_read(body):
    assert wire.read_exchange(body).api_key == "k"


def test_a_refresh_is_read_by_the_sources_spelling():
    assert wire.read_refresh(b'{"refreshToken":"t","expiresIn":60}') == wire.RefreshRequest("t", None, 60)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_read_or_refused(body):
    for read in (wire.read_exchange, wire.read_refresh, wire.read_form):
        try:
            read(body)
        except InvalidRequest:
            continue


def test_the_token_answer_is_exactly_this():
    """contract.md, "Token endpoints": the four members, in this order."""
    answer = wire.write_token_answer(b"eyJ0eXAiO.a", b"eyJ0eXAiO.r", 3600)

    assert answer == (
        b'{"token_type":"Bearer","expires_in":3600,"access_token":"eyJ0eXAiO.a","refresh_token":"eyJ0eXAiO.r"}'
    )
    assert wire.decode_token_answer(answer).expires_in == 3600


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=%ff", b"\xff", b"a", b"&".join([b"a%d=1" % n for n in range(40)])])
def test_a_form_that_is_none_is_refused(body):
    """RFC 6749 §3.2: a parameter at most once."""
    with pytest.raises(InvalidRequest):
        wire.read_form(body)


def test_an_empty_value_counts_as_absent():
    assert wire.read_form(b"a=&b=x+y%20z") == {"b": "x y z"}
    assert wire.read_form(b"") == {}


@pytest.mark.parametrize(
    "shape",
    [
        wire.ExchangeRequest("hp_secret"),
        wire.RefreshRequest("hp_secret"),
        wire.TokenAnswer("Bearer", 1, "hp_secret", "hp_secret"),
    ],
)
def test_no_repr_shows_a_secret(shape):
    assert "hp_secret" not in repr(shape)
