"""Access tokens and answers of the revocation feed: the two things that signing keys sign."""

import json
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from hourpass.core.api_key import ClaimValue
from hourpass.core.claims import STANDARD, UnverifiedClaims
from hourpass.core.errors import InvalidToken
from hourpass.core.signing_key import Algorithm
from hourpass.jose.keys import PrivateKey, VerificationKey, public_jwk, signer, verification_key
from hourpass.jose.segments import MAX_TOKEN_LENGTH, decode_segment, encode_segment

_encode_json = msgspec.json.Encoder().encode


_SHAPES = get_type_hints(UnverifiedClaims)
_Listed: Any = msgspec.defstruct("_Listed", [(claim, _SHAPES[claim]) for claim in STANDARD], frozen=True)


class AccessClaims(_Listed):  # type: ignore[misc]  # its members come from the one list of claims
    """Claims of an access token as they are encoded (RFC 9068 §2.2): those of `UnverifiedClaims`, in that order."""


_decode_access = msgspec.json.Decoder(AccessClaims).decode


class SigningKeyPair:
    """A private key that mints access tokens. `header` is the first segment of all of them, and never changes."""

    def __init__(self, kid: str, algorithm: Algorithm, private: PrivateKey) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._private = private
        self._sign = signer(private)
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
        """The key that `private_bytes` encoded."""
        return cls(kid, algorithm, load_der_private_key(data, None))  # type: ignore[arg-type]

    def private_bytes(self) -> bytes:
        """The private key as unencrypted PKCS #8. Seal it before you store it."""
        return self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def mint(self, claims: AccessClaims, custom: tuple[tuple[str, ClaimValue], ...] = ()) -> bytes:
        """A compact access token."""
        payload = _encode_json(claims)
        if custom:
            payload = payload[:-1] + b"," + _encode_json(dict(custom))[1:]
        signed = self._prefix + encode_segment(payload)
        return signed + b"." + encode_segment(self._sign(signed))

    def sign_feed(self, payload: bytes) -> bytes:
        """An answer of the revocation feed as a compact JWS (RFC 7515 §7.1)."""
        signed = _feed_header(self.verification_key) + b"." + encode_segment(payload)
        return signed + b"." + encode_segment(self._sign(signed))


def open_access_token(token: bytes, keys: Mapping[bytes, VerificationKey]) -> tuple[UnverifiedClaims, VerificationKey]:
    """Prove a token's signature with the key whose header it has. The claims must still be validated.

    Raises:
        InvalidToken: `malformed` if it does not have the form of our tokens, `signature` if none of the keys signed it.
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
        members = unique_members(payload)
        claims = _decode_access(payload)
    except (ValueError, RecursionError) as error:
        raise InvalidToken("malformed") from error
    custom: tuple[tuple[str, ClaimValue], ...] = ()
    if len(members) > len(STANDARD):
        custom = tuple((name, value) for name, value in members.items() if _is_custom(name, value))
    return UnverifiedClaims._make((*msgspec.structs.astuple(claims), custom)), key


def _is_custom(name: str, value: object) -> bool:
    return name not in STANDARD and (value is None or isinstance(value, str | int | float))


def unique_members(payload: bytes) -> dict[str, Any]:
    """The members of a JSON object.

    Raises:
        ValueError: if any object in it repeats a member: two readers would see two tokens (RFC 8725 §3.2).
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member is repeated")
        return members

    members: dict[str, Any] = json.loads(payload, object_pairs_hook=unique)
    return members


class UnknownKey(LookupError):
    """None of the keys has this header. `header` is the one that access tokens of the unknown key would have."""

    def __init__(self, header: bytes) -> None:
        super().__init__("no key of ours has this header")
        self.header = header


def open_feed(jws: bytes, keys: Mapping[bytes, VerificationKey]) -> bytes:
    """Prove an answer of the revocation feed, and return its payload.

    Its `typ` keeps it from being used as an access token, and the other way round (RFC 8725 §3.11).

    Raises:
        UnknownKey: if none of the keys has its header.
        ValueError: if it is forged, or is not a JWS.
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


def _feed_header(key: VerificationKey) -> bytes:
    words = key.jwk["alg"].encode(), key.kid.encode()
    return encode_segment(b'{"typ":"revocations+jwt","alg":"%b","kid":"%b"}' % words)
