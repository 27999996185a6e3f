"""Tokens, cross-checked with two libraries that know nothing of ours."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import import_key

from hourpass.core.errors import InvalidGrant, InvalidToken
from hourpass.core.grant import GrantRef
from hourpass.jose import AccessClaims, RefreshTokens, SigningKeyPair, encode_segment, open_access_token

CLAIMS = AccessClaims("https://i.test", "s", "https://a.test", 7_200, 3_600, "j", "k", "a b", "g", "production")
PAIRS = {name: SigningKeyPair.generate("k1", name) for name in ("ES256", "Ed25519", "RS256")}
SECRET = b"r" * 32
REF = GrantRef("vLN4aeuHv8ZP", b"g" * 16)
SEED = b"s" * 16


def keys(pair):
    return {pair.header: pair.verification_key}


def refresh_tokens(*ring, issuer="https://i.test"):
    return RefreshTokens(ring or [("r1", SECRET)], issuer=issuer, audience=f"{issuer}/auth/refresh")


def problem(token: bytes, pair=PAIRS["ES256"]) -> str:
    with pytest.raises(InvalidToken) as refusal:
        open_access_token(token, keys(pair))
    return refusal.value.problem


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_what_is_minted_opens_again(pair):
    claims, key = open_access_token(pair.mint(CLAIMS), keys(pair))

    assert claims._asdict() == {name: getattr(CLAIMS, name) for name in claims._fields}
    assert key is pair.verification_key


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_typ_is_the_first_member_of_the_header(pair):
    """The source's tokens begin so, and the verifier compares the segment as it stands."""
    token = pair.mint(CLAIMS)
    header = base64.urlsafe_b64decode(token.split(b".")[0] + b"==")

    assert token.startswith(b"eyJ0eXAiO")
    assert list(json.loads(header)) == ["typ", "alg", "kid"]


@pytest.mark.parametrize("name", ["ES256", "RS256"])
def test_pyjwt_verifies_ours_from_the_key_set(name):
    pair = PAIRS[name]
    key = jwt.PyJWK(pair.verification_key.jwk)

    claims = jwt.decode(
        pair.mint(CLAIMS), key, [name], audience=CLAIMS.aud, options={"verify_exp": False, "verify_iat": False}
    )

    assert claims["sid"] == "g"


@pytest.mark.parametrize("name", PAIRS)
def test_joserfc_verifies_ours_from_the_key_set(name):
    pair = PAIRS[name]

    opened = jws.deserialize_compact(
        pair.mint(CLAIMS),
        import_key(pair.verification_key.jwk),
        algorithms=[name],
        registry=jws.JWSRegistry(algorithms=[name]),
    )

    assert json.loads(opened.payload)["jti"] == "j"


def test_a_token_that_pyjwt_made_with_our_key_and_header_opens():
    pair = PAIRS["ES256"]
    payload = {name: getattr(CLAIMS, name) for name in AccessClaims.__struct_fields__}
    signer = jwt.get_algorithm_by_name("ES256")
    signed = pair.header + b"." + encode_segment(json.dumps(payload).encode())

    token = signed + b"." + encode_segment(signer.sign(signed, pair._private))

    assert open_access_token(token, keys(pair))[0].sub == "s"


GOOD = PAIRS["ES256"].mint(CLAIMS)
HEAD, PAYLOAD, SIGNATURE = GOOD.split(b".")


def with_header(**members) -> bytes:
    return encode_segment(json.dumps(members).encode()) + b"." + PAYLOAD + b"." + SIGNATURE


@pytest.mark.parametrize(
    "token",
    [
        *(with_header(typ="at+jwt", alg=alg, kid="k1") for alg in ("none", "None", "NONE", "nOnE", "HS256", "EdDSA")),
        with_header(typ="at+jwt", alg="ES256", kid="k1", jwk=PAIRS["RS256"].verification_key.jwk),
        with_header(typ="at+jwt", alg="ES256", kid="k1", jku="https://evil.test"),
        with_header(typ="at+jwt", alg="ES256", kid="k1", crit=["b64"], b64=False),
        with_header(typ="at+jwt", alg="ES256", kid="../../k1"),
        with_header(typ="rt+jwt", alg="ES256", kid="k1"),
        with_header(alg="ES256", typ="at+jwt", kid="k1"),
        HEAD + b"." + PAYLOAD + b"." + encode_segment(bytes(64)),
        HEAD + b"." + PAYLOAD + b"." + encode_segment(b"\x30\x44" + bytes(68)),
        HEAD + b"." + PAYLOAD + b"." + encode_segment(b"x" * 63),
        HEAD + b"." + encode_segment(b"{}") + b"." + SIGNATURE,
    ],
)
def test_what_our_keys_did_not_make_is_refused(token):
    """RFC 8725 §2.1, §3.1: the token chooses neither its algorithm nor its key."""
    assert problem(token) == "signature"


@pytest.mark.parametrize(
    "token",
    [b"", b".", b"a.b", GOOD + b".", GOOD + b"=", GOOD + b" ", b" " + GOOD, GOOD + b"\n", HEAD + b"." + PAYLOAD]
    + [HEAD + b"." + PAYLOAD + b"." + SIGNATURE[:-1] + last for last in (b"+", b"/", b"\xff")]
    + [b"a" * 8_193],
    ids=lambda token: ascii(token[-20:]),
)
def test_what_is_no_token_in_shape_is_malformed(token):
    assert problem(token) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b"\xff",
        json.dumps({**{n: getattr(CLAIMS, n) for n in AccessClaims.__struct_fields__}, "exp": 7200.0}).encode(),
        json.dumps({**{n: getattr(CLAIMS, n) for n in AccessClaims.__struct_fields__}, "iat": True}).encode(),
        json.dumps({**{n: getattr(CLAIMS, n) for n in AccessClaims.__struct_fields__}, "exp": "7200"}).encode(),
        b'{"sub":"x",' + json.dumps({n: getattr(CLAIMS, n) for n in AccessClaims.__struct_fields__}).encode()[1:],
    ],
    ids=["empty", "array", "not UTF-8", "float", "bool", "text", "repeated member"],
)
def test_a_signature_over_what_are_no_claims_of_ours_is_malformed(payload):
    pair = PAIRS["ES256"]
    signed = pair.header + b"." + encode_segment(payload)

    assert problem(signed + b"." + encode_segment(pair._sign(signed))) == "malformed"


@given(st.binary(max_size=200))
def test_nothing_but_a_refusal_comes_of_arbitrary_bytes(data):
    problem(data)
    with pytest.raises(InvalidGrant):
        refresh_tokens().open(data, 0)


def test_any_generation_can_be_minted_again():
    minter = refresh_tokens()
    tokens = [minter.mint(REF, SEED, 7, issued_at=at, expires_at=9_000) for at in (1, 2)]

    opened = [minter.open(token, 100) for token in tokens]

    assert opened[0] == opened[1]
    assert (opened[0].ref, opened[0].generation) == (REF, 7)


@pytest.mark.parametrize(("now", "reason"), [(8_999, None), (9_000, "expired")])
def test_a_refresh_token_ends_at_exactly_exp(now, reason):
    token = refresh_tokens().mint(REF, SEED, 0, issued_at=1, expires_at=9_000)

    if reason is None:
        assert refresh_tokens().open(token, now)
    else:
        with pytest.raises(InvalidGrant, match=reason):
            refresh_tokens().open(token, now)


def test_an_older_secret_of_the_ring_still_opens_and_the_newest_mints():
    old = refresh_tokens(("r0", b"o" * 32)).mint(REF, SEED, 0, issued_at=1, expires_at=9)
    both = refresh_tokens(("r1", SECRET), ("r0", b"o" * 32))

    assert both.open(old, 1).ref == REF
    assert refresh_tokens().open(both.mint(REF, SEED, 1, issued_at=1, expires_at=9), 1).generation == 1


def test_neither_kind_of_token_stands_in_for_the_other():
    refresh = refresh_tokens().mint(REF, SEED, 0, issued_at=1, expires_at=9_000)

    assert problem(refresh) == "signature"
    with pytest.raises(InvalidGrant, match=r"malformed|header"):
        refresh_tokens().open(GOOD, 1)


def test_another_issuers_refresh_token_is_refused():
    token = refresh_tokens(issuer="https://other.test").mint(REF, SEED, 0, issued_at=1, expires_at=9)

    with pytest.raises(InvalidGrant, match="another issuer"):
        refresh_tokens().open(token, 1)


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_a_raw_signature_is_what_the_der_one_says(r, s):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    from hourpass.jose import _raw_signature

    assert _raw_signature(encode_dss_signature(r, s)) == r.to_bytes(32, "big") + s.to_bytes(32, "big")
