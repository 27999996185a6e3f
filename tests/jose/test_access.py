"""Access tokens and their keys: minting and opening, cross-checked with two libraries that know nothing of ours."""

import json

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import import_key
from jwt.algorithms import OKPAlgorithm

from hourpass.jose import (
    AccessClaims,
    SigningKeyPair,
    decode_segment,
    encode_segment,
    open_access_token,
    verification_key,
)

CLAIMS = AccessClaims("https://i.test", "s", "https://a.test", 7_200, 3_600, "j", "k", "a b", "g", "production")
PAYLOAD = json.dumps(msgspec.to_builtins(CLAIMS))
PAIRS = {name: SigningKeyPair.generate("k1", name) for name in ("ES256", "Ed25519", "RS256")}
EACH = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
NOT_EXPIRED = {"verify_exp": False, "verify_iat": False}


def keys(*pairs):
    return {pair.header: pair.verification_key for pair in pairs}


@EACH
@pytest.mark.parametrize("audience", ["https://a.test", ["https://a.test", "https://b.test"]], ids=["one", "several"])
def test_a_minted_token_opens_again(pair, audience):
    minted = msgspec.structs.replace(CLAIMS, aud=audience, scope="", sub="caf\N{LATIN SMALL LETTER E WITH ACUTE}")

    claims, key = open_access_token(pair.mint(minted), keys(*PAIRS.values()))

    assert claims._asdict() == {**msgspec.structs.asdict(minted), "custom": ()}
    assert key is pair.verification_key


@EACH
def test_the_header_has_typ_alg_and_kid_in_this_order(pair):
    """The source's tokens begin so, and the verifier compares the segment as it stands."""
    token = pair.mint(CLAIMS)

    assert token.startswith(b"eyJ0eXAiO")
    assert decode_segment(token.split(b".")[0]) == (b'{"typ":"at+jwt","alg":"%b","kid":"k1"}' % pair.algorithm.encode())


@EACH
def test_a_token_carries_the_claims_of_rfc_9068_and_ours(pair):
    """RFC 9068 §2.2. Nothing else travels."""
    payload = json.loads(decode_segment(pair.mint(CLAIMS).split(b".")[1]))

    assert payload == {
        "iss": "https://i.test",
        "sub": "s",
        "aud": "https://a.test",
        "exp": 7_200,
        "iat": 3_600,
        "jti": "j",
        "client_id": "k",
        "scope": "a b",
        "sid": "g",
        "env": "production",
    }


@pytest.mark.parametrize("name", ["ES256", "RS256"])
def test_pyjwt_verifies_ours_from_the_key_set(name):
    key = jwt.PyJWK(PAIRS[name].verification_key.jwk)

    claims = jwt.decode(PAIRS[name].mint(CLAIMS), key, [name], audience=CLAIMS.aud, options=NOT_EXPIRED)

    assert claims == msgspec.structs.asdict(CLAIMS)


def test_pyjwt_does_not_know_ed25519_by_its_own_name_but_verifies_it_once_told():
    """RFC 9864's name is `Ed25519`. PyJWT has only the older `EdDSA`. The day it learns, this test says so."""
    pair = PAIRS["Ed25519"]
    with pytest.raises(jwt.PyJWKError):
        jwt.PyJWK(pair.verification_key.jwk)

    told = jwt.PyJWS()
    told.register_algorithm("Ed25519", OKPAlgorithm())

    assert told.decode(pair.mint(CLAIMS), OKPAlgorithm.from_jwk(pair.verification_key.jwk), ["Ed25519"])


@EACH
def test_joserfc_verifies_ours_from_the_key_set(pair):
    key = import_key(pair.verification_key.jwk)

    opened = jws.deserialize_compact(pair.mint(CLAIMS), key, algorithms=[pair.algorithm])

    assert json.loads(opened.payload) == msgspec.structs.asdict(CLAIMS)
    assert opened.headers() == {"typ": "at+jwt", "alg": pair.algorithm, "kid": "k1"}


@pytest.mark.parametrize("name", ["ES256", "RS256"])
def test_a_token_that_pyjwt_made_with_our_key_and_header_opens(name):
    pair = PAIRS[name]
    headers = {"typ": "at+jwt", "kid": "k1"}

    token = jwt.encode(json.loads(PAYLOAD), pair._private, name, headers=headers, sort_headers=False)

    assert open_access_token(token.encode(), keys(pair))[0].sub == "s"


@EACH
def test_a_token_that_joserfc_made_with_our_key_and_header_opens(pair):
    private = import_key(pair.private_bytes(), pair.verification_key.jwk["kty"])
    header = {"typ": "at+jwt", "alg": pair.algorithm, "kid": "k1"}

    token = jws.serialize_compact(header, PAYLOAD, private, algorithms=[pair.algorithm])

    assert open_access_token(token.encode(), keys(pair))[0].sub == "s"


@EACH
def test_a_key_that_was_written_down_is_the_same_key(pair):
    again = SigningKeyPair.from_private_bytes(pair.kid, pair.algorithm, pair.private_bytes())

    assert again.verification_key.jwk == pair.verification_key.jwk
    assert open_access_token(again.mint(CLAIMS), keys(pair))[0].sub == "s"


@EACH
def test_a_published_key_has_no_private_member(pair):
    """RFC 7517 §4, RFC 7518 §6: `d` and its company stay here."""
    material = {"EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}, "RSA": {"n", "e"}}[pair.verification_key.jwk["kty"]]

    assert set(pair.verification_key.jwk) == {"kty", "use", "alg", "kid"} | material


@pytest.mark.parametrize("coordinate", ["x", "y"])
def test_a_coordinate_keeps_its_leading_zeros(coordinate):
    """RFC 7518 §6.2.1.2: 32 octets for P-256, always."""
    keys = (ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 10_000))
    short = next(key for key in keys if getattr(key.public_key().public_numbers(), coordinate) < 2**248)
    pair = SigningKeyPair("k1", "ES256", short)

    assert len(decode_segment(pair.verification_key.jwk[coordinate].encode())) == 32


@EACH
def test_a_key_is_read_from_its_published_form(pair):
    published = json.loads(json.dumps(pair.verification_key.jwk))

    key = verification_key(published)

    assert open_access_token(pair.mint(CLAIMS), {key.header: key})[0].sub == "s"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ES256", {"alg": "ES384"}),
        ("ES256", {"alg": "none"}),
        ("ES256", {"crv": "P-384"}),
        ("ES256", {"kty": "oct", "k": "c2VjcmV0"}),
        pytest.param("ES256", {"x": PAIRS["ES256"].verification_key.jwk["y"]}, id="ES256-x=its own y"),
        ("ES256", {"x": "AA=="}),
        ("RS256", {"alg": "PS256"}),
        ("RS256", {"alg": "HS256"}),
        ("RS256", {"e": "Ag"}),
        ("Ed25519", {"alg": "EdDSA"}),
        ("Ed25519", {"x": "AAAA"}),
    ],
    ids=lambda value: value if isinstance(value, str) else next("=".join(member) for member in value.items()),
)
def test_a_key_of_another_kind_or_with_members_that_do_not_fit_together_is_refused(name, changes):
    with pytest.raises(ValueError):
        verification_key(PAIRS[name].verification_key.jwk | changes)


def test_the_twin_of_an_ecdsa_signature_names_the_same_token():
    """(r, n - s) verifies as well: two strings, one `jti`. So nothing of ours is keyed on a token's string."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    pair = PAIRS["ES256"]
    token = pair.mint(CLAIMS)
    signed, _, signature = token.rpartition(b".")
    raw = decode_segment(signature)
    twin_s = (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = signed + b"." + encode_segment(raw[:32] + twin_s)

    assert twin != token
    assert open_access_token(twin, keys(pair))[0] == open_access_token(token, keys(pair))[0]


def test_of_a_thousand_signatures_each_is_two_numbers_of_32_octets_that_another_library_accepts():
    """RFC 7518 §3.4. Each number is short once in 256 times: its leading zeros are kept."""
    pair = PAIRS["ES256"]
    public = pair._private.public_key()
    for number in range(1_000):
        token = pair.mint(msgspec.structs.replace(CLAIMS, jti=str(number)))
        signed, _, segment = token.rpartition(b".")
        signature = decode_segment(segment)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")

        assert len(signature) == 64
        public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))


@given(st.binary(max_size=40))
def test_bytes_have_exactly_one_spelling(data):
    spelling = encode_segment(data)

    assert decode_segment(spelling) == data
    for other in (
        spelling + b"=",
        spelling + b"==",
        b" " + spelling,
        spelling + b"\n",
        spelling + b"A=",
        spelling + b".",
    ):
        with pytest.raises(ValueError):
            decode_segment(other)


@given(st.binary(max_size=12) | st.text("ABab01-_+/= \n", max_size=12).map(str.encode))
def test_only_our_own_spelling_decodes(segment):
    try:
        data = decode_segment(segment)
    except ValueError:
        return
    assert encode_segment(data) == segment


CUSTOM = (("tenant", "acme"), ("seats", 5), ("share", 0.5), ("on", True), ("none", None))


def test_what_a_key_says_besides_travels_as_claims_of_their_own_and_is_read_back():
    pair = PAIRS["ES256"]

    token = pair.mint(CLAIMS, CUSTOM)

    assert claims_of_others(token) == {**json.loads(PAYLOAD), **dict(CUSTOM)}
    claims, _ = open_access_token(token, {pair.header: pair.verification_key})
    assert claims.custom == CUSTOM
    assert [type(value) for _, value in claims.custom] == [str, int, float, bool, type(None)]


def claims_of_others(token: bytes) -> dict:
    return json.loads(decode_segment(token.split(b".")[1]))


@pytest.mark.parametrize("value", [[], ["x"], {}, {"a": 1}])
def test_a_claim_that_is_a_list_or_an_object_is_left_out(value):
    pair = PAIRS["ES256"]
    token = pair.mint(CLAIMS, (("odd", value), ("tenant", "acme")))

    claims, _ = open_access_token(token, {pair.header: pair.verification_key})

    assert claims.custom == (("tenant", "acme"),)
