"""Access tokens that somebody else made or bent: each is refused by its word, and nothing else is ever raised."""

import hmac
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.errors import InvalidToken
from hourpass.jose import (
    AccessClaims,
    SigningKeyPair,
    decode_segment,
    encode_segment,
    open_access_token,
)

CLAIMS = AccessClaims("https://i.test", "s", "https://a.test", 7_200, 3_600, "j", "k", "a b", "g", "production")
PAYLOAD = msgspec.json.encode(CLAIMS)
ES256, ED25519, RS256 = (SigningKeyPair.generate("k1", name) for name in ("ES256", "Ed25519", "RS256"))
KEYS = {pair.header: pair.verification_key for pair in (ES256, ED25519, RS256)}
STRANGER = SigningKeyPair.generate("k1", "ES256")
GOOD = ES256.mint(CLAIMS)
SIGNED, _, SIGNATURE = GOOD.rpartition(b".")
HEAD, BODY = SIGNED.split(b".")
R, S = decode_segment(SIGNATURE)[:32], decode_segment(SIGNATURE)[32:]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
PUBLIC = ES256._private.public_key()
SPKI = [PUBLIC.public_bytes(form, PublicFormat.SubjectPublicKeyInfo) for form in (Encoding.PEM, Encoding.DER)]


def problem(token: bytes) -> str:
    with pytest.raises(InvalidToken) as refusal:
        open_access_token(token, KEYS)
    return refusal.value.problem


def with_header(header: str, signature: bytes | None = None) -> bytes:
    """The good claims under another header, signed by a stranger's key unless told otherwise."""
    signed = encode_segment(header.encode()) + b"." + BODY
    made = STRANGER._sign(signed) if signature is None else signature
    return signed + b"." + encode_segment(made)


def with_signature(signature: bytes, pair: SigningKeyPair = ES256) -> bytes:
    return pair.header + b"." + BODY + b"." + encode_segment(signature)


def hs256(header: str, secret: bytes) -> bytes:
    signed = encode_segment(header.encode()) + b"." + BODY
    return with_header(header, hmac.digest(secret, signed, "sha256"))


def signature_of(pair: SigningKeyPair) -> bytes:
    return decode_segment(pair.mint(CLAIMS).rpartition(b".")[2])


def words(alg: str, *more: str, kid: str = '"k1"', typ: str = "at+jwt") -> str:
    """A header of ours, members in our order, and any others after them."""
    return "{" + ",".join([f'"typ":"{typ}"', f'"alg":"{alg}"', f'"kid":{kid}', *more]) + "}"


STRANGERS_JWK = json.dumps(STRANGER.verification_key.jwk)
HEADERS = [
    words("none"),
    words("ES384"),
    words("EdDSA"),
    words("ES256", f'"jwk":{STRANGERS_JWK}'),
    words("ES256", '"jku":"https://evil.test/jwks"'),
    words("ES256", '"x5u":"https://evil.test/x"'),
    words("ES256", '"x5c":["MIIB"]'),
    words("ES256", '"crit":["exp"]'),
    words("ES256", '"crit":["b64"]', '"b64":false'),
    words("ES256", '"zip":"DEF"'),
    words("ES256", '"alg":"none"'),
    '{"typ":"at+jwt","alg":"ES256"}',
    words("ES256", kid='""'),
    words("ES256", kid='"K1"'),
    words("ES256", kid='"k1 "'),
    words("ES256", kid='"k1\\u0000"'),
    words("ES256", kid='"\\u006b1"'),
    words("ES256", kid='["k1"]'),
    words("ES256", kid="null"),
    words("ES256", kid='"../../dev/null"'),
    words("ES256", kid='"k1\' or 1=1"'),
    words("ES256", typ="JWT"),
    words("ES256", typ="rt+jwt"),
    words("ES256", typ="AT+JWT"),
    words("ES256", typ="application/at+jwt"),
    '{"alg":"ES256","typ":"at+jwt","kid":"k1"}',
    '{"typ": "at+jwt","alg":"ES256","kid":"k1"}',
    words("ES256") + "\n",
    "{}",
    "[]",
    "nope",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_of_none_of_our_keys_is_refused_unread(header):
    """RFC 8725 §3.1: a token chooses neither its algorithm nor its key, RFC 7515 §4.1: nor an extension."""
    assert problem(with_header(header)) == "signature"
    assert problem(with_header(header, b"")) == "signature"
    assert problem(with_header(header, R + S)) == "signature"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "nonE"])
def test_an_unsigned_token_is_refused_in_every_casing(name):
    """RFC 8725 §2.1."""
    assert problem(with_header(words(name), b"")) == "signature"


@pytest.mark.parametrize("secret", [*SPKI, json.dumps(ES256.verification_key.jwk).encode(), b"", b"k1"], ids=range(5))
@pytest.mark.parametrize("name", ["HS256", "ES256"])
def test_a_public_key_never_works_as_a_shared_secret(name, secret):
    """RFC 8725 §2.1: the algorithm confusion from asymmetric to HMAC."""
    assert problem(hs256(words(name), secret)) == "signature"


def int32(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        R + bytes(32),
        bytes(32) + S,
        int32(P256_ORDER) * 2,
        R + int32(P256_ORDER),
        int32(P256_ORDER) + S,
        bytes(31) + b"\1" + int32(P256_ORDER),
        b"\xff" * 64,
        S + R,
        (R + S)[:-1],
        (R + S)[1:],
        R + S + b"\0",
        b"\0" + R + S,
        R + b"\0" + S,
        R + S + R + S,
        encode_dss_signature(int.from_bytes(R, "big"), int.from_bytes(S, "big")),
        STRANGER._sign(SIGNED),
        ES256._sign(SIGNED + b"."),
        ES256._sign(BODY),
    ],
    ids=[
        *(
            "empty",
            "both-zero",
            "s-zero",
            "r-zero",
            "both-the-order",
            "s-the-order",
            "r-the-order",
            "r-one",
            "all-ones",
        ),
        *(
            "swapped",
            "without-the-last-octet",
            "without-the-first",
            "an-octet-more",
            "an-octet-before",
            "an-octet-between",
            "twice",
            "DER",
        ),
        *("by-a-stranger", "over-more", "over-the-payload-alone"),
    ],
)
def test_an_ecdsa_signature_that_is_not_r_and_s_of_this_token_is_refused(signature):
    """RFC 7518 §3.4. Zeros for r and s are the "psychic" signature of CVE-2022-21449."""
    assert problem(with_signature(signature)) == "signature"


def test_an_ecdsa_signature_without_its_leading_zero_is_refused():
    """RFC 7518 §3.4: the octets are not trimmed. Once in 256 times S begins with a zero."""
    signatures = (signature_of(ES256) for _ in range(10_000))
    short = next(signature for signature in signatures if signature[32] == 0)

    assert problem(with_signature(short[:32] + short[33:])) == "signature"


def with_s_plus_the_order(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


@pytest.mark.parametrize(
    "bend",
    [
        lambda _: b"",
        lambda _: bytes(64),
        lambda _: b"\1" + bytes(63),
        lambda s: s[:-1],
        lambda s: s + b"\0",
        with_s_plus_the_order,
    ],
    ids=["empty", "zero", "identity", "short", "long", "s-plus-the-order"],
)
def test_a_bent_ed25519_signature_is_refused(bend):
    """RFC 8032 §5.1.7: S is below the order, so a signature has no twin."""
    assert problem(with_signature(bend(signature_of(ED25519)), ED25519)) == "signature"


def rsa_signed(scheme, algorithm) -> bytes:
    return RS256._private.sign(RS256.header + b"." + BODY, scheme, algorithm)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: bytes(256),
        lambda: bytes(255) + b"\1",
        lambda: b"\xff" * 256,
        lambda: signature_of(RS256)[:-1],
        lambda: b"\0" + signature_of(RS256),
        lambda: signature_of(RS256) + b"\0",
        lambda: rsa_signed(padding.PSS(padding.MGF1(SHA256()), 32), SHA256()),
        lambda: rsa_signed(padding.PKCS1v15(), SHA512()),
    ],
    ids=["empty", "zero", "one", "all-ones", "short", "octet-before", "octet-after", "pss", "sha-512"],
)
def test_a_bent_rsa_signature_is_refused(make):
    assert problem(with_signature(make(), RS256)) == "signature"


@pytest.mark.parametrize("pair", [ED25519, RS256], ids=["Ed25519", "RS256"])
def test_a_signature_under_one_key_is_bad_under_another(pair):
    assert problem(with_signature(R + S, pair)) == "signature"
    assert problem(with_signature(signature_of(pair))) == "signature"


def test_other_claims_under_the_same_signature_are_refused():
    richer = encode_segment(msgspec.json.encode(msgspec.structs.replace(CLAIMS, scope="admin")))

    assert problem(HEAD + b"." + richer + b"." + SIGNATURE) == "signature"


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_token_with_any_one_byte_changed_is_refused(position, byte):
    if GOOD[position] != byte:
        assert problem(GOOD[:position] + bytes([byte]) + GOOD[position + 1 :]) in {"malformed", "signature"}


@given(st.binary(max_size=120) | st.text("ey.-_A=0", max_size=60).map(str.encode))
def test_any_bytes_are_verified_or_refused(token):
    assert problem(token) in {"malformed", "signature"}
