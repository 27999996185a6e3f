"""Tokens: minting and opening them, and the keys that do it. The only module that knows JOSE.

Tokens are composed and opened by hand, because the contract fixes the header's members and their order: a token's
header segment is compared with the few that our own keys can produce, never parsed, so a token cannot choose its
algorithm, key or extensions (RFC 8725 §3.1). Every other part passes a strict canonical base64url gate first.
"""

import binascii
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, assert_never

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from hourpass.core.claims import UnverifiedClaims
from hourpass.core.errors import InvalidGrant, InvalidToken
from hourpass.core.grant import GrantRef, generation_tag
from hourpass.core.signing_key import Algorithm

MAX_TOKEN_LENGTH = 8_192
"""Ours are under 1 KiB; a longer one only costs work."""

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Jwk = dict[str, str]

_encode_json = msgspec.json.Encoder().encode
_ES256 = ec.ECDSA(hashes.SHA256())


def encode_segment(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 §2)."""
    # Twice `replace` takes half the time of one `translate`, or less.
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


def decode_segment(segment: bytes) -> bytes:
    """The one canonical base64url spelling of some bytes, or ValueError.

    Libraries accept padding, stray bits and foreign characters; two spellings of one token would defeat every look-up.
    """
    try:
        data = binascii.a2b_base64(_standard(segment) + b"=" * (-len(segment) % 4), strict_mode=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if encode_segment(data) != segment:
        raise ValueError("not canonical base64url")
    return data


def _decode_own(segment: bytes) -> bytes:
    """Decode a segment that we encoded ourselves, which has been proven."""
    return binascii.a2b_base64(_standard(segment) + b"==")


def _standard(segment: bytes) -> bytes:
    return segment.replace(b"-", b"+").replace(b"_", b"/")


class AccessClaims(msgspec.Struct, frozen=True):
    """Claims of an access token as they travel (RFC 9068 §2.2). `exp` and `iat` are epoch seconds."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: int
    iat: int
    jti: str
    client_id: str
    scope: str
    sid: str
    env: str


class _RefreshClaims(msgspec.Struct, frozen=True):
    iss: str
    aud: str
    client_id: str
    sid: str
    gen: int
    iat: int
    exp: int
    jti: str


_decode_access = msgspec.json.Decoder(AccessClaims).decode
_decode_refresh = msgspec.json.Decoder(_RefreshClaims).decode


class VerificationKey(NamedTuple):
    """The public half of a signing key, with the only header segment that it accepts."""

    kid: str
    header: bytes
    verify: Callable[[bytes, bytes], None]
    jwk: Jwk


class SigningKeyPair:
    """A private key that mints access tokens. `header` is the constant first segment of all it mints."""

    def __init__(self, kid: str, algorithm: Algorithm, private: PrivateKey) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._private = private
        self._sign = _signer(private)
        self.verification_key = verification_key(public_jwk(kid, algorithm, private))
        self.header = self.verification_key.header
        self._prefix = self.header + b"."

    @classmethod
    def generate(cls, kid: str, algorithm: Algorithm) -> "SigningKeyPair":
        """A new random key."""
        match algorithm:
            case "ES256":
                return cls(kid, algorithm, ec.generate_private_key(ec.SECP256R1()))
            case "Ed25519":
                return cls(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
            case "RS256":
                return cls(kid, algorithm, rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def from_private_bytes(cls, kid: str, algorithm: Algorithm, data: bytes) -> "SigningKeyPair":
        """The key that `private_bytes` wrote down."""
        return cls(kid, algorithm, load_der_private_key(data, None))  # type: ignore[arg-type]

    def private_bytes(self) -> bytes:
        """PKCS #8, unencrypted: to be sealed before it is stored."""
        return self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def mint(self, claims: AccessClaims) -> bytes:
        """A compact access token."""
        signed = self._prefix + encode_segment(_encode_json(claims))
        return signed + b"." + encode_segment(self._sign(signed))

    def sign_feed(self, payload: bytes) -> bytes:
        """An answer of the revocation feed as a compact JWS (RFC 7515 §7.1)."""
        signed = _feed_header(self.verification_key) + b"." + encode_segment(payload)
        return signed + b"." + encode_segment(self._sign(signed))


class UnknownKey(LookupError):
    """None of the keys has the header; `header` is the one that its access tokens would have."""

    def __init__(self, header: bytes) -> None:
        super().__init__("no key of ours has this header")
        self.header = header


def open_feed(jws: bytes, keys: Mapping[bytes, VerificationKey]) -> bytes:
    """Prove an answer of the revocation feed, and return its payload.

    Its `typ` keeps it from being taken for an access token, and the other way round (RFC 8725 §3.11).

    Raises:
        UnknownKey: where none of the keys has its header; ValueError: where it is forged, or no JWS.
    """
    signed, _, signature = jws.rpartition(b".")
    header, _, payload = signed.partition(b".")
    key = next((key for key in keys.values() if _feed_header(key) == header), None)
    if key is None:
        raise UnknownKey(encode_segment(decode_segment(header).replace(b'"typ":"revocations', b'"typ":"at', 1)))
    try:
        key.verify(decode_segment(signature), signed)
    except InvalidSignature as error:
        raise ValueError("forged") from error
    return decode_segment(payload)


def open_access_token(token: bytes, keys: Mapping[bytes, VerificationKey]) -> tuple[UnverifiedClaims, VerificationKey]:
    """Prove a token's signature with the key whose header it carries; the claims are still to be validated.

    Raises:
        InvalidToken: `malformed` where it is no token of ours in shape, `signature` where none of the keys made it.
    """
    if len(token) > MAX_TOKEN_LENGTH or token.count(b".") != 2:
        raise InvalidToken("malformed")
    signed, _, signature_segment = token.rpartition(b".")
    header, _, payload_segment = signed.partition(b".")
    try:
        signature = decode_segment(signature_segment)
        payload = decode_segment(payload_segment)
        decode_segment(header)
    except ValueError as error:
        raise InvalidToken("malformed") from error
    key = keys.get(header)
    if key is None:
        raise InvalidToken("signature", "no key of ours has this header")
    try:
        key.verify(signature, signed)
    except InvalidSignature as error:
        raise InvalidToken("signature") from error
    try:
        refuse_duplicate_members(payload)
        claims = _decode_access(payload)
    except (ValueError, RecursionError) as error:
        raise InvalidToken("malformed") from error
    return UnverifiedClaims(*(getattr(claims, name) for name in UnverifiedClaims._fields)), key


class OpenedRefreshToken(NamedTuple):
    """A refresh token whose signature is proven.

    The tag is to be compared with the grant's row before anything else.
    """

    ref: GrantRef
    generation: int
    tag: bytes


class RefreshTokens:
    """Mints and opens refresh tokens: HS256 under a server-only secret that no JWK Set ever shows.

    `secrets` is a ring of (kid, secret), newest first: the first one mints, all of them open. `iss` and `aud` bind a
    token to this issuer's own refresh endpoint.
    """

    def __init__(self, secrets: Iterable[tuple[str, bytes]], *, issuer: str, audience: str) -> None:
        self._ring = {
            encode_segment(b'{"typ":"rt+jwt","alg":"HS256","kid":"%b"}' % kid.encode()): _hs256(secret)
            for kid, secret in secrets
        }
        header, self._mac = next(iter(self._ring.items()))
        self._prefix = header + b"."
        self._issuer = issuer
        self._audience = audience

    def mint(self, ref: GrantRef, seed: bytes, generation: int, *, issued_at: int, expires_at: int) -> bytes:
        """The refresh token of a generation; the instants are epoch seconds. Any generation can be minted again."""
        claims = _RefreshClaims(
            self._issuer,
            self._audience,
            ref.key_id,
            ref.grant_id.hex(),
            generation,
            issued_at,
            expires_at,
            generation_tag(seed, generation).hex(),
        )
        signed = self._prefix + encode_segment(_encode_json(claims))
        return signed + b"." + encode_segment(self._mac(signed))

    def open(self, token: bytes, now: int) -> OpenedRefreshToken:
        """Prove a refresh token's signature and validate its claims; `now` is epoch seconds.

        Raises:
            InvalidGrant: `malformed` where this server never made it, `expired` where its time has passed.
        """
        if len(token) > MAX_TOKEN_LENGTH or token.count(b".") != 2:
            raise InvalidGrant("malformed")
        signed, _, signature_segment = token.rpartition(b".")
        header, _, payload_segment = signed.partition(b".")
        mac = self._ring.get(header)
        if mac is None:
            raise InvalidGrant("malformed", "no secret of ours has this header")
        # Compared as it travels, so that there is one spelling; what the MAC covers was spelt by ourselves.
        if not hmac.compare_digest(signature_segment, encode_segment(mac(signed))):
            raise InvalidGrant("malformed", "signature")
        try:
            claims = _decode_refresh(_decode_own(payload_segment))
            ref, tag = GrantRef(claims.client_id, bytes.fromhex(claims.sid)), bytes.fromhex(claims.jti)
        except ValueError as error:
            raise InvalidGrant("malformed") from error
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise InvalidGrant("malformed", "made for another issuer")
        if not 0 <= claims.gen < 2**63:
            raise InvalidGrant("malformed", "no such generation can exist")
        if now >= claims.exp:
            raise InvalidGrant("expired")
        return OpenedRefreshToken(ref, claims.gen, tag)


def unverified_issuer(token: bytes) -> str | None:
    """The issuer that a refresh token claims.

    Proves nothing: for an operator who inspects a token of their own server.
    """
    try:
        return _decode_refresh(decode_segment(token.split(b".")[1])).iss
    except (ValueError, IndexError, RecursionError):
        return None


def refuse_duplicate_members(payload: bytes) -> None:
    """ValueError where any object in the JSON repeats a member: two readers would see two tokens (RFC 8725 §3.2)."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member is repeated")
        return members

    json.loads(payload, object_pairs_hook=unique)


def public_jwk(kid: str, algorithm: Algorithm, private: PrivateKey) -> Jwk:
    """The public half as a JSON Web Key (RFC 7517 §4), with `alg` and `use` so that no verifier has to guess."""
    match private:
        case ec.EllipticCurvePrivateKey():
            point = private.public_key().public_numbers()
            material = {"kty": "EC", "crv": "P-256", "x": _uint(point.x, 32), "y": _uint(point.y, 32)}
        case ed25519.Ed25519PrivateKey():
            material = {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": encode_segment(private.public_key().public_bytes_raw()).decode(),
            }
        case rsa.RSAPrivateKey():
            numbers = private.public_key().public_numbers()
            material = {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}
        case _:
            assert_never(private)
    return {**material, "use": "sig", "alg": algorithm, "kid": kid}


def verification_key(jwk: Jwk) -> VerificationKey:
    """Read a public JSON Web Key of one of our three algorithms.

    Raises:
        ValueError: where it is of another kind, or its members do not fit together.
    """
    kid, algorithm = jwk.get("kid", ""), jwk.get("alg", "")
    match jwk:
        case {"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y}:
            verify = _ecdsa_verifier(ec.EllipticCurvePublicNumbers(_int(x), _int(y), ec.SECP256R1()).public_key())
        case {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "x": x}:
            verify = ed25519.Ed25519PublicKey.from_public_bytes(decode_segment(x.encode())).verify
        case {"kty": "RSA", "alg": "RS256", "n": n, "e": e}:
            verify = _rsa_verifier(rsa.RSAPublicNumbers(_int(e), _int(n)).public_key())
        case _:
            raise ValueError("not a key of ours")
    header = encode_segment(b'{"typ":"at+jwt","alg":"%b","kid":"%b"}' % (algorithm.encode(), kid.encode()))
    return VerificationKey(kid, header, verify, jwk)


def _feed_header(key: VerificationKey) -> bytes:
    words = key.jwk["alg"].encode(), key.kid.encode()
    return encode_segment(b'{"typ":"revocations+jwt","alg":"%b","kid":"%b"}' % words)


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 under one secret. The keyed state is made once: setting one up costs more than the hashing does."""
    keyed = HMAC(secret, hashes.SHA256())

    def mac(data: bytes) -> bytes:
        state = keyed.copy()
        state.update(data)
        return state.finalize()

    return mac


def _signer(private: PrivateKey) -> Callable[[bytes], bytes]:
    match private:
        case ec.EllipticCurvePrivateKey():
            return lambda data: _raw_signature(private.sign(data, _ES256))
        case ed25519.Ed25519PrivateKey():
            return private.sign
        case rsa.RSAPrivateKey():
            return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _ecdsa_verifier(public: ec.EllipticCurvePublicKey) -> Callable[[bytes, bytes], None]:
    def verify(signature: bytes, data: bytes) -> None:
        if len(signature) != 64:
            # DER signatures and truncated ones end here (RFC 7518 §3.4: the octets are R || S).
            raise InvalidSignature
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(r, s), data, _ES256)

    return verify


def _rsa_verifier(public: rsa.RSAPublicKey) -> Callable[[bytes, bytes], None]:
    return lambda signature, data: public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def _raw_signature(der: bytes) -> bytes:
    """R || S, 32 octets each (RFC 7518 §3.4), from the DER that the crypto library makes.

    SEQUENCE, length, INTEGER, length, r, INTEGER, length, s; a P-256 signature is short, so each length is one byte. An
    INTEGER has a leading zero where its first bit is set, and is shorter than 32 bytes where its first bytes are zero.
    """
    r_end = 4 + der[3]
    return der[4:r_end][-32:].rjust(32, b"\0") + der[r_end + 2 :][-32:].rjust(32, b"\0")


def _uint(number: int, length: int | None = None) -> str:
    return encode_segment(number.to_bytes(length or (number.bit_length() + 7) // 8, "big")).decode()


def _int(text: str) -> int:
    return int.from_bytes(decode_segment(text.encode()), "big")
