"""Access tokens of the wrong shape, and claims of the wrong shape under a good signature: all of it is `malformed`."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import import_key

from hourpass.core.claims import STANDARD
from hourpass.core.errors import InvalidToken
from hourpass.jose import MAX_TOKEN_LENGTH, AccessClaims, SigningKeyPair, open_access_token

CLAIMS = AccessClaims("https://i.test", "s", "https://a.test", 7_200, 3_600, "j", "k", "a b", "g", "production")
MEMBERS = msgspec.structs.asdict(CLAIMS)
PAIR = SigningKeyPair.generate("k1", "ES256")
KEYS = {PAIR.header: PAIR.verification_key}
PRIVATE = import_key(PAIR.private_bytes(), "EC")
GOOD = PAIR.mint(CLAIMS)
HEAD, BODY, SIGNATURE = GOOD.split(b".")
DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def problem(token: bytes) -> str:
    with pytest.raises(InvalidToken) as refusal:
        open_access_token(token, KEYS)
    return refusal.value.problem


def signed(payload: bytes) -> bytes:
    """A token with these bytes for claims, made by our own key."""
    header = {"typ": "at+jwt", "alg": "ES256", "kid": "k1"}
    return jws.serialize_compact(header, payload, PRIVATE, ["ES256"]).encode()


def other_spelling(segment: bytes) -> bytes:
    """The same bytes again to a lenient reader: the last digit has bits that mean nothing."""
    assert len(segment) % 4, "a whole number of groups has no spare bits"
    return segment[:-1] + bytes([DIGITS[DIGITS.index(segment[-1]) + 1]])


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"...",
        b"nope",
        HEAD + b"." + BODY,
        b"." + GOOD,
        GOOD + b".",
        GOOD + b".x",
        GOOD + b"." + BODY + b"." + SIGNATURE,
        HEAD + b".." + BODY + b"." + SIGNATURE,
        json.dumps({"payload": BODY.decode(), "protected": HEAD.decode(), "signature": SIGNATURE.decode()}).encode(),
    ],
    ids=[
        "empty",
        "one-dot",
        "three-dots",
        "no-dot",
        "two-parts",
        "dot-before",
        "dot-after",
        "4",
        "JWE",
        "double",
        "JSON",
    ],
)
def test_a_token_has_exactly_three_parts(token):
    assert problem(token) == "malformed"


@pytest.mark.parametrize("token", [b"..", b"." + BODY + b"." + SIGNATURE, HEAD + b"..", HEAD + b".." + SIGNATURE])
def test_an_empty_part_was_signed_by_nobody(token):
    assert problem(token) == "signature"


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(
    "bend",
    [
        lambda part: part + b"=",
        lambda part: part + b"==",
        lambda part: b" " + part,
        lambda part: part + b" ",
        lambda part: part + b"\n",
        lambda part: part + b"\0",
        lambda part: part[:9] + b"\r\n" + part[9:],
        lambda part: part[:8] + b"+" + part[9:],
        lambda part: part[:8] + b"/" + part[9:],
        lambda part: part[:8] + b"\xc3\xa9" + part[10:],
        lambda part: part[:8] + b"%2D" + part[11:],
        lambda part: part[: len(part) // 4 * 4 - 3],
    ],
    ids=[
        "=",
        "==",
        "space-before",
        "space-after",
        "newline",
        "NUL",
        "folded",
        "+",
        "slash",
        "é",
        "percent",
        "stray-digit",
    ],
)
def test_every_part_has_the_one_canonical_spelling(part, bend):
    """RFC 7515 §2: base64url without padding, white space or line breaks."""
    parts = [HEAD, BODY, SIGNATURE]
    parts[part] = bend(parts[part])

    assert problem(b".".join(parts)) == "malformed"


@pytest.mark.parametrize("subject", ["s", "ss", "sss"])
def test_spare_bits_of_the_last_digit_are_zero(subject):
    """RFC 4648 §3.5: else one token had several spellings, and a look-up by its text would miss."""
    token = PAIR.mint(msgspec.structs.replace(CLAIMS, sub=subject))
    head, body, signature = token.split(b".")
    bent = [[head, body, other_spelling(signature)]]
    bent += [[other_spelling(head), body, signature]] if len(head) % 4 else []
    bent += [[head, other_spelling(body), signature]] if len(body) % 4 else []

    assert [problem(b".".join(parts)) for parts in bent] == ["malformed"] * len(bent)


def test_a_token_may_be_8_kib_long_and_no_longer():
    pair = SigningKeyPair.generate("key", "ES256")
    room = (MAX_TOKEN_LENGTH - len(pair.header) - len(SIGNATURE) - 2) * 3 // 4
    without_scope = msgspec.json.encode(msgspec.structs.replace(CLAIMS, scope=""))
    token = pair.mint(msgspec.structs.replace(CLAIMS, scope="a" * (room - len(without_scope))))
    keys = {pair.header: pair.verification_key}
    assert len(token) == MAX_TOKEN_LENGTH

    assert open_access_token(token, keys)[0].sub == "s"
    with pytest.raises(InvalidToken, match="malformed"):
        open_access_token(token + b"A", keys)


def test_members_that_we_do_not_know_are_ignored():
    """RFC 7519 §4: claims that are not understood must be ignored."""
    assert open_access_token(signed(json.dumps(MEMBERS | {"nonce": [1]}).encode()), KEYS)[0].sub == "s"


@pytest.mark.parametrize("member", MEMBERS)
def test_a_claim_that_is_missing_or_null_is_malformed(member):
    without = {name: value for name, value in MEMBERS.items() if name != member}

    assert problem(signed(json.dumps(without).encode())) == "malformed"
    assert problem(signed(json.dumps(MEMBERS | {member: None}).encode())) == "malformed"


@pytest.mark.parametrize("member", ["exp", "iat"])
@pytest.mark.parametrize(
    "value", ["7200.0", "7200.5", "7.2e3", "true", "false", '"7200"', "[7200]", "{}", "NaN", "Infinity"]
)
def test_an_instant_is_an_integer_and_nothing_like_one(member, value):
    payload = json.dumps(MEMBERS | {member: "HERE"}).replace('"HERE"', value)

    assert problem(signed(payload.encode())) == "malformed"


@pytest.mark.parametrize("member", [name for name in MEMBERS if name not in ("exp", "iat")])
@pytest.mark.parametrize("value", [1, True, {"a": "b"}, [1], [["a"]]], ids=repr)
def test_a_text_is_a_text(member, value):
    assert problem(signed(json.dumps(MEMBERS | {member: value}).encode())) == "malformed"


TEXT = json.dumps(MEMBERS)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b'"text"',
        f"[{TEXT}]".encode(),
        TEXT.encode() + b"x",
        TEXT.encode()[:-1],
        TEXT.replace('"s"', '"\\ud800"').encode(),
        TEXT.encode().replace(b'"s"', b'"\xff"'),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.replace("7200", "7" * 5_000).encode(),
        TEXT.replace("{", '{"deep":' + "[" * 2_500 + "]" * 2_500 + ",", 1).encode(),
    ],
    ids=[
        *("empty", "null", "text", "list", "more-after", "cut-off", "lone-surrogate", "not-utf-8", "byte-order-mark"),
        *("utf-16", "a-number-of-5000-digits", "2500-deep"),
    ],
)
def test_claims_are_one_json_object_in_utf_8(payload):
    assert problem(signed(payload)) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [
        TEXT.replace("{", '{"sub":"x",', 1),
        TEXT.replace("{", '{"s\\u0075b":"x",', 1),
        TEXT.replace("{", '{"sub":"s",', 1),
        TEXT.replace("{", '{"a":1,"a":1,', 1),
        TEXT.replace("{", '{"nested":[{"a":1,"a":2}],', 1),
    ],
    ids=["another-value", "escaped", "the-same-value", "an-unknown-member", "deeper"],
)
def test_a_repeated_member_is_malformed_wherever_it_is(payload):
    """RFC 8725 §3.2, RFC 7519 §4: two readers would see two tokens."""
    assert problem(signed(payload.encode())) == "malformed"


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
changes = st.dictionaries(st.sampled_from(STANDARD), values | st.lists(values, max_size=3))


@given(changes)
def test_any_claims_are_read_or_refused(changes):
    members = MEMBERS | changes
    well_typed = all(
        type(value) is type(MEMBERS[name])
        or (name == "aud" and isinstance(value, list) and set(map(type, value)) <= {str})
        for name, value in members.items()
    )
    token = signed(json.dumps(members).encode())

    if well_typed:
        assert open_access_token(token, KEYS)[0]._asdict() == {**members, "custom": ()}
    else:
        assert problem(token) == "malformed"
