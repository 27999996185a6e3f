"""Hostile credentials, as builders from a genuine key pair and its claims. Each names the word that refuses it."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hourpass.jose import AccessClaims, SigningKeyPair, decode_segment, encode_segment

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
STRANGER = SigningKeyPair.generate("stranger", "ES256")


class Genuine(NamedTuple):
    """The tokens that a thief could have seen, and the key that a thief has not."""

    pair: SigningKeyPair
    claims: AccessClaims

    @property
    def token(self) -> bytes:
        return self.pair.mint(self.claims)

    @property
    def payload(self) -> bytes:
        return msgspec.json.encode(self.claims)

    @property
    def parts(self) -> list[bytes]:
        return self.token.split(b".")

    def header(self, **changes: object) -> dict[str, object]:
        return {"typ": "at+jwt", "alg": "ES256", "kid": self.pair.kid, **changes}

    def signed(self, payload: bytes, header: bytes | None = None, pair: SigningKeyPair | None = None) -> bytes:
        """Any payload under any header, by the genuine key unless told otherwise."""
        segment = self.pair.header if header is None else encode_segment(header)
        signed = segment + b"." + encode_segment(payload)
        return signed + b"." + encode_segment((pair or self.pair)._sign(signed))

    def under(self, pair: SigningKeyPair | None = None, **changes: object) -> bytes:
        """The genuine payload under a changed header."""
        return self.signed(self.payload, compact(self.header(**changes)), pair)

    def saying(self, **changes: object) -> bytes:
        """Changed claims, by the genuine key: a bug or a break-in at the issuer. None takes a claim away."""
        claims = {**msgspec.to_builtins(self.claims), **changes}
        return self.signed(compact({name: value for name, value in claims.items() if value is not None}))

    def with_signature(self, signature: bytes) -> bytes:
        return b".".join([*self.parts[:2], encode_segment(signature)])

    def raw_signature(self) -> tuple[bytes, bytes]:
        signature = decode_segment(self.parts[2])
        return signature[:32], signature[32:]


Build = Callable[[Genuine], bytes]


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def hmac_with(secret: Callable[[Genuine], bytes], alg: str, **changes: object) -> Build:
    """RFC 8725 §2.1: the public key as the shared secret."""

    def build(it: Genuine) -> bytes:
        signed = encode_segment(compact(it.header(alg=alg, **changes))) + b"." + it.parts[1]
        digest = hmac.new(secret(it), signed, getattr(hashlib, f"sha{alg[2:] if alg[0] == 'H' else 256}"))
        return signed + b"." + encode_segment(digest.digest())

    return build


def public(form: Encoding, shape: PublicFormat) -> Callable[[Genuine], bytes]:
    return lambda it: it.pair._private.public_key().public_bytes(form, shape)


SECRETS = {
    "PEM": public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "PEM without its newline": lambda it: SECRETS["PEM"](it).rstrip(),
    "DER": public(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "point": public(Encoding.X962, PublicFormat.UncompressedPoint),
    "JWK": lambda it: compact(it.pair.verification_key.jwk),
    "nothing": lambda it: b"",
    "kid": lambda it: it.pair.kid.encode(),
}


def int32(number: int) -> bytes:
    return number.to_bytes(32, "big")


def der(it: Genuine) -> bytes:
    r, s = it.raw_signature()
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


SIGNATURES: dict[str, Callable[[Genuine], bytes]] = {
    "none": lambda it: b"",
    "psychic: r = s = 0": lambda it: bytes(64),
    "r = 0": lambda it: bytes(32) + it.raw_signature()[1],
    "s = 0": lambda it: it.raw_signature()[0] + bytes(32),
    "r = s = order": lambda it: int32(ORDER) * 2,
    "r = order": lambda it: int32(ORDER) + it.raw_signature()[1],
    "s = order": lambda it: it.raw_signature()[0] + int32(ORDER),
    "r = s = 1": lambda it: int32(1) * 2,
    "all ones": lambda it: b"\xff" * 64,
    "DER": der,
    "swapped": lambda it: b"".join(reversed(it.raw_signature())),
    "a byte short": lambda it: b"".join(it.raw_signature())[:-1],
    "a byte long": lambda it: b"".join(it.raw_signature()) + b"\0",
    "twice": lambda it: b"".join(it.raw_signature()) * 2,
    "a flipped bit": lambda it: bytes([it.raw_signature()[0][0] ^ 1]) + b"".join(it.raw_signature())[1:],
    "a stranger's": lambda it: STRANGER._sign(b".".join(it.parts[:2])),
    "giant": lambda it: bytes(4_096),
}

HEADERS: dict[str, Build] = {
    **{f"alg {alg}, unsigned": lambda it, alg=alg: it.under(alg=alg).rpartition(b".")[0] + b"." for alg in
       ("none", "None", "NONE", "nOnE", "")},
    **{f"alg {alg}, signed": lambda it, alg=alg: it.under(alg=alg) for alg in
       ("none", "es256", "ES256 ", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "PS256", "RS256", "HS256", "dir")},
    **{f"alg {alg!r}": lambda it, alg=alg: it.under(alg=alg) for alg in (None, 1, ["ES256"], {"ES256": 1}, True)},
    **{f"kid {kid!r}": lambda it, kid=kid: it.under(kid=kid) for kid in
       ("", "../../dev/null", "k' or '1'='1", "*", "k\0", "\u212a", "x" * 500, None, 1, ["k"], "https://evil.test/jwks")},
    "kid in capitals": lambda it: it.under(kid=it.pair.kid.upper() + "X"),
    "kid with a space": lambda it: it.under(kid=it.pair.kid + " "),
    "kid escaped": lambda it: it.signed(it.payload, compact(it.header()).replace(b'"kid":"', b'"kid":"\\u0030')),
    "another key's kid": lambda it: it.under(STRANGER, kid="stranger"),
    **{f"typ {typ!r}": lambda it, typ=typ: it.under(typ=typ) for typ in
       ("JWT", "rt+jwt", "revocations+jwt", "AT+JWT", "application/at+jwt", "at+jwt ", None, 1)},
    "jwk": lambda it: it.under(STRANGER, jwk=STRANGER.verification_key.jwk),
    "jwk alone": lambda it: it.signed(
        it.payload, compact({"alg": "ES256", "jwk": STRANGER.verification_key.jwk}), STRANGER),
    "jku": lambda it: it.under(STRANGER, jku="https://evil.test/jwks.json"),
    "jku on loopback": lambda it: it.under(STRANGER, jku="http://127.0.0.1:1/jwks.json"),
    "x5u": lambda it: it.under(STRANGER, x5u="https://evil.test/cert.pem"),
    "x5c": lambda it: it.under(STRANGER, x5c=["MIIB"]),
    "x5t": lambda it: it.under(x5t="AAAA"),
    "crit": lambda it: it.under(crit=["exp"]),
    "crit of nothing": lambda it: it.under(crit=[]),
    "b64 false": lambda it: it.under(crit=["b64"], b64=False),
    "zip": lambda it: it.under(zip="DEF"),
    "enc": lambda it: it.under(alg="dir", enc="A256GCM"),
    "cty": lambda it: it.under(cty="JWT"),
    "no typ": lambda it: it.signed(it.payload, compact({"alg": "ES256", "kid": it.pair.kid})),
    "no kid": lambda it: it.signed(it.payload, compact({"typ": "at+jwt", "alg": "ES256"})),
    "other order": lambda it: it.signed(it.payload, compact({"alg": "ES256", "typ": "at+jwt", "kid": it.pair.kid})),
    "white space": lambda it: it.signed(it.payload, json.dumps(it.header()).encode()),
    "alg twice": lambda it: it.signed(it.payload, compact(it.header()).replace(b'"alg"', b'"alg":"none","alg"')),
    "kid twice": lambda it: it.signed(it.payload, compact(it.header()).replace(b'"kid"', b'"kid":"x","kid"')),
    "an array": lambda it: it.signed(it.payload, b"[]"),
    "text": lambda it: it.signed(it.payload, b"hello"),
    "not UTF-8": lambda it: it.signed(it.payload, b"\xff\xfe"),
    "a byte order mark": lambda it: it.signed(it.payload, b"\xef\xbb\xbf" + compact(it.header())),
    "a deep one": lambda it: it.signed(it.payload, b'{"a":' * 500 + b"1" + b"}" * 500),
}  # fmt: skip

SPELLINGS: dict[str, Build] = {
    **{f"{name} in part {part}": lambda it, part=part, spell=spell: b".".join(
        spell(segment) if number == part else segment for number, segment in enumerate(it.parts))
       for part in range(3)
       for name, spell in {
           "an equals sign": lambda segment: segment + b"=",
           "a stray tilde": lambda segment: segment[:-1] + b"~",
           "a plus": lambda segment: b"+" + segment[1:],
           "a slash": lambda segment: b"/" + segment[1:],
           "one character more": lambda segment: segment + b"A" * (1 + (-len(segment) - 1) % 4 // 3),
       }.items()},
}  # fmt: skip

SHAPES: dict[str, Build] = {
    "one part": lambda it: it.parts[0],
    "two parts": lambda it: b".".join(it.parts[:2]),
    "four parts": lambda it: it.token + b".AAAA",
    "five parts": lambda it: b".".join([*it.parts, b"AAAA", b"AAAA"]),
    "only dots": lambda it: b"..",
    "three dots": lambda it: b"...",
    "a dot before": lambda it: b"." + it.token,
    "a dot behind": lambda it: it.token + b".",
    "no header": lambda it: b"." + b".".join(it.parts[1:]),
    "no payload": lambda it: it.parts[0] + b".." + it.parts[2],
    "the word token": lambda it: b"token",
    "null": lambda it: b"null",
    "a giant payload": lambda it: it.parts[0] + b"." + b"A" * 8_000 + b"." + it.parts[2],
    "a giant header": lambda it: b"A" * 8_000 + b"." + b".".join(it.parts[1:]),
    "an API key": lambda it: b"hp_production_000000000000_00000000000000000000000000000000",
    "the header twice": lambda it: b".".join([it.parts[0], *it.parts[:2], it.parts[2]]),
}

NUMBERS = {
    "text": "1800000000", "a bool": True, "a fraction": 1800000000.5, "negative": -1, "zero": 0, "a list": [1800000000],
    "an object": {}, "beyond 64 bits": 2**64, "a googol": 10**100,
}  # fmt: skip

CLAIMS: dict[str, Build] = {
    **{f"{claim} missing": lambda it, claim=claim: it.saying(**{claim: None})
       for claim in AccessClaims.__struct_fields__},
    **{f"{claim} is {name}": lambda it, claim=claim, value=value: it.saying(**{claim: value})
       for claim in ("exp", "iat") for name, value in NUMBERS.items()},
    **{f"{claim} a number": lambda it, claim=claim: it.saying(**{claim: 1}) for claim in
       ("iss", "sub", "aud", "jti", "client_id", "scope", "sid", "env")},
    **{f"{claim} twice": lambda it, claim=claim: it.signed(it.payload.replace(b"{", b'{"%b":"x",' % claim.encode(), 1))
       for claim in ("iss", "sub", "aud", "exp", "jti", "scope")},
    "exp NaN": lambda it: it.signed(it.payload.replace(b'"exp":', b'"exp":NaN,"x":')),
    "exp Infinity": lambda it: it.signed(it.payload.replace(b'"exp":', b'"exp":Infinity,"x":')),
    "exp 1e400": lambda it: it.signed(it.payload.replace(b'"exp":', b'"exp":1e400,"x":')),
    "exp 0x": lambda it: it.signed(it.payload.replace(b'"exp":', b'"exp":0x')),
    "an array": lambda it: it.signed(b"[]"),
    "text": lambda it: it.signed(b'"hello"'),
    "nothing": lambda it: it.signed(b""),
    "an empty object": lambda it: it.signed(b"{}"),
    "two objects": lambda it: it.signed(it.payload * 2),
    "a trailing comma": lambda it: it.signed(it.payload[:-1] + b",}"),
    "a comment": lambda it: it.signed(it.payload + b"//"),
    "not UTF-8": lambda it: it.signed(it.payload.replace(b'"scope":"', b'"scope":"\xff')),
    "UTF-16": lambda it: it.signed(it.payload.decode().encode("utf-16")),
    "a byte order mark": lambda it: it.signed(b"\xef\xbb\xbf" + it.payload),
    "a lone surrogate": lambda it: it.signed(it.payload.replace(b'"scope":"', b'"scope":"\\ud800')),
    "a deep one": lambda it: it.signed(it.payload[:-1] + b',"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}"),
    "sub empty": lambda it: it.saying(sub=""),
    "jti empty": lambda it: it.saying(jti=""),
    "sid empty": lambda it: it.saying(sid=""),
    "a day too long": lambda it: it.saying(exp=it.claims.iat + 90_000),
}  # fmt: skip

WORDS: dict[str, tuple[str, Build]] = {
    "another issuer": ("issuer", lambda it: it.saying(iss="https://evil.test")),
    "the issuer with a slash": ("issuer", lambda it: it.saying(iss=it.claims.iss + "/")),
    "another audience": ("audience", lambda it: it.saying(aud="https://evil.test")),
    "no audience": ("audience", lambda it: it.saying(aud=[])),
    "an audience in capitals": ("audience", lambda it: it.saying(aud=str(it.claims.aud).upper())),
    "from the future": ("not_yet_valid", lambda it: it.saying(iat=it.claims.iat + 600)),
    "expired": ("expired", lambda it: it.saying(iat=it.claims.iat - 3_700, exp=it.claims.iat - 100)),
}

ATTACKS: dict[str, tuple[set[str], Build]] = {
    **{f"header: {name}": ({"signature", "malformed"}, build) for name, build in HEADERS.items()},
    **{f"HMAC {alg} with the public key as {name}": ({"signature"}, hmac_with(secret, alg))
       for alg in ("HS256", "HS512", "ES256") for name, secret in SECRETS.items()},
    **{f"signature: {name}": ({"signature"}, lambda it, made=made: it.with_signature(made(it)))
       for name, made in SIGNATURES.items()},
    **{f"spelling: {name}": ({"malformed", "signature"}, build) for name, build in SPELLINGS.items()},
    **{f"shape: {name}": ({"malformed", "signature"}, build) for name, build in SHAPES.items()},
    **{f"claims: {name}": ({"malformed"}, build) for name, build in CLAIMS.items()},
    **{f"claims: {name}": ({word}, build) for name, (word, build) in WORDS.items()},
}  # fmt: skip
"""By name: the words that may refuse it, and how it is made."""

BROKEN_HEADERS: dict[str, Callable[[bytes], list[bytes]]] = {
    "no token": lambda token: [b"Bearer"],
    "only spaces": lambda token: [b"Bearer   "],
    "two tokens": lambda token: [b"Bearer " + token + b" " + token],
    "a comma": lambda token: [b"Bearer " + token + b",Bearer " + token],
    "a comma and a space": lambda token: [b"Bearer " + token + b", Bearer " + token],
    "two headers": lambda token: [b"Bearer " + token, b"Bearer " + token],
    "two headers, one of another scheme": lambda token: [b"Negotiate x", b"Bearer " + token],
    "two headers, one empty": lambda token: [b"Bearer " + token, b""],
}
"""Not exactly one credential: `invalid_request`, 400 in process (RFC 6750 §3.1) and 401 if a proxy asks."""

BROKEN_TOKENS: dict[str, Callable[[bytes], bytes]] = {
    "a comma behind": lambda token: token + b",",
    "parameters": lambda token: b'token="' + token + b'"',
    "quotes": lambda token: b'"' + token + b'"',
    "a tab before": lambda token: b"\t" + token,
    "a form feed behind": lambda token: token + b"\x0c",
    "a non-breaking space": lambda token: b"\xa0" + token,
    "a semicolon": lambda token: token + b";",
    "beyond ASCII": lambda token: token + "é".encode(),
    "an equals sign within": lambda token: token.replace(b".", b"=.", 1),
    "giant": lambda token: token + b"A" * 9_000,
}
"""A good token with something around it that is not a space: a malformed token (RFC 6750 §3.1)."""

ACCEPTED: dict[str, Callable[[bytes], bytes]] = {
    "Bearer": lambda token: b"Bearer " + token,
    "bearer": lambda token: b"bearer " + token,
    "BEARER": lambda token: b"BEARER " + token,
    "bEaReR": lambda token: b"bEaReR " + token,
    "several spaces": lambda token: b"Bearer    " + token,
    "trailing spaces": lambda token: b"Bearer " + token + b"  ",
    "a trailing tab": lambda token: b"Bearer " + token + b"\t",
}
"""RFC 9110 §11.1: the scheme in any case. §5.5: white space behind a value is not part of it."""

ACCEPTED_TOKENS: dict[str, Build] = {
    "as minted": lambda it: it.token,
    "several audiences": lambda it: it.saying(aud=["https://other.test", it.claims.aud]),
    "claims of others": lambda it: it.saying(roles=["a"], cnf={"jkt": "x"}, nbf=1),
    "claims in another order": lambda it: it.signed(compact(dict(reversed(msgspec.to_builtins(it.claims).items())))),
    "white space in the claims": lambda it: it.signed(json.dumps(msgspec.to_builtins(it.claims), indent=1).encode()),
    "no scope": lambda it: it.saying(scope=""),
}
"""RFC 7519 §4: claims that are not understood are ignored. §4.1.3: `aud` may be a list."""
