"""Keys of our three algorithms as JSON Web Keys, and their signatures in the form of JWS (RFC 7518 §3)."""

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, assert_never

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hourpass.core.signing_key import Algorithm
from hourpass.jose.segments import decode_segment, encode_segment

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Jwk = dict[str, str]

_ES256 = ec.ECDSA(hashes.SHA256())


class VerificationKey(NamedTuple):
    """The public half of a signing key, with the only header segment that it accepts."""

    kid: str
    header: bytes
    verify: Callable[[bytes, bytes], None]
    jwk: Jwk


def public_jwk(kid: str, algorithm: Algorithm, private: PrivateKey) -> Jwk:
    """The public half as a JSON Web Key (RFC 7517 §4), with `alg` and `use`, so that verifiers need not guess."""
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
        ValueError: if it is of another kind, or its members do not fit together.
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


def signer(private: PrivateKey) -> Callable[[bytes], bytes]:
    """The function that signs with this key."""
    match private:
        case ec.EllipticCurvePrivateKey():
            return _ecdsa_signer(private)
        case ed25519.Ed25519PrivateKey():
            return private.sign
        case rsa.RSAPrivateKey():
            return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _ecdsa_signer(private: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    # Decision 0018: it signs in three quarters of the time. A program that only verifies does not need it.
    from awscrt.crypto import EC  # type: ignore[import-untyped]  # noqa: PLC0415

    key = EC.new_key_from_der_data(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    # RFC 7518 §3.4: the octets are R || S. The library's own are DER.

    def sign(data: bytes) -> bytes:
        signature: bytes = EC.decode_der_signature_to_padded_pair(key.sign(sha256(data).digest()), 32)
        return signature

    return sign


def _ecdsa_verifier(public: ec.EllipticCurvePublicKey) -> Callable[[bytes, bytes], None]:
    def verify(signature: bytes, data: bytes) -> None:
        if len(signature) != 64:
            # This refuses DER signatures and truncated ones (RFC 7518 §3.4: the octets are R || S).
            raise InvalidSignature
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(r, s), data, _ES256)

    return verify


def _rsa_verifier(public: rsa.RSAPublicKey) -> Callable[[bytes, bytes], None]:
    return lambda signature, data: public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def _uint(number: int, length: int | None = None) -> str:
    return encode_segment(number.to_bytes(length or (number.bit_length() + 7) // 8, "big")).decode()


def _int(text: str) -> int:
    return int.from_bytes(decode_segment(text.encode()), "big")
