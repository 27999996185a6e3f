"""Refresh tokens: HS256 under a secret that only the server has. They are derived from the grant, and never stored."""

import hmac
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from hourpass.core.errors import InvalidGrant, Unavailable
from hourpass.core.grant import Grant, GrantRef, generation_tag
from hourpass.core.policy import SECOND
from hourpass.core.secret_ring import SecretRing, ServerSecret
from hourpass.jose.segments import MAX_TOKEN_LENGTH, decode_own, decode_segment, encode_segment

_ACCESS_TOKEN = encode_segment(b'{"typ":"at+jwt","a')
"""How every access token of ours begins. It proves nothing. It encodes 18 bytes, so the next bytes change no character
of it."""

_OURS = encode_segment(b'{"typ":"rt+jwt","alg":"HS256",')
"""How every refresh token of ours begins, in whole characters: 30 bytes."""

_encode_json = msgspec.json.Encoder().encode


class _RefreshClaims(msgspec.Struct, frozen=True):
    iss: str
    aud: str
    client_id: str
    sid: str
    gen: int
    iat: int
    exp: int
    jti: str


_decode_refresh = msgspec.json.Decoder(_RefreshClaims).decode


class UnknownSecret(InvalidGrant):
    """The token names a refresh secret that is not known here. Another node may have made the secret a moment ago."""


class OpenedRefreshToken(msgspec.Struct, frozen=True):
    """A refresh token whose signature is proven.

    Compare the tag with the grant's row before you do anything else.
    """

    ref: GrantRef
    generation: int
    tag: bytes


class RefreshTokens:
    """Mints and opens refresh tokens: HS256 under a secret that only the server has, and no JWK Set shows.

    The secrets of `ring` all open. The one that was in use when a generation began mints the token of that generation,
    so every node makes the same one at any time. `issuer` and `audience` become `iss` and `aud`, which bind a token to
    this issuer's own refresh endpoint.
    """

    def __init__(self, ring: SecretRing, *, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self.audience = audience
        self._ring: dict[bytes, Callable[[bytes], bytes]] = {}
        self.learn(ring)

    def learn(self, ring: SecretRing) -> None:
        """Work with another ring from now on."""
        headers = {_header(secret): secret for secret in ring.secrets}
        self._ring = {header: self._ring.get(header) or _hs256(secret.secret) for header, secret in headers.items()}
        # Newest first, each with the whole second from which on it is in use.
        self._minting = [
            (-(-ring.used_from(secret) // SECOND), header + b".", self._ring[header])
            for header, secret in headers.items()
        ]
        self._newest = self._minting[0] if self._minting else _NO_SECRET

    def mint(self, grant: Grant, issued_at: int) -> bytes:
        """The refresh token of a grant's current generation, which began at `issued_at`, in epoch seconds.

        You can mint a generation again: with the same instant, the token has the same text.

        Raises:
            Unavailable: if the ring is empty, because nothing that is in use could be opened.
        """
        since, prefix, mac = self._newest
        if issued_at < since:
            found = next((each for each in self._minting if issued_at >= each[0]), None)
            if found is None:
                raise Unavailable("no refresh secret is known here")
            _, prefix, mac = found
        claims = _RefreshClaims(
            self._issuer,
            self.audience,
            grant.key_id,
            grant.grant_id.hex(),
            grant.generation,
            issued_at,
            grant.idle_expires_at // SECOND,
            generation_tag(grant.seed, grant.generation).hex(),
        )
        signed = prefix + encode_segment(_encode_json(claims))
        return signed + b"." + encode_segment(mac(signed))

    def open(self, token: bytes, now: int) -> OpenedRefreshToken:
        """Prove a refresh token's signature and validate its claims. `now` is epoch seconds.

        Raises:
            InvalidGrant: `malformed` if this server never made it, `access_token_given` if it looks like an access
                token, `expired` if its time has passed.
            UnknownSecret: if it is `malformed`, unless another node has a secret that is not known here.
        """
        if len(token) > MAX_TOKEN_LENGTH or token.count(b".") != 2:
            raise InvalidGrant("malformed")
        signed, _, signature_segment = token.rpartition(b".")
        header, _, payload_segment = signed.partition(b".")
        mac = self._ring.get(header)
        if mac is None:
            if header.startswith(_ACCESS_TOKEN):
                raise InvalidGrant("access_token_given")
            if header.startswith(_OURS):
                raise UnknownSecret("malformed", "no secret of ours has this header")
            raise InvalidGrant("malformed", "this is not a header of ours")
        # Compared in its encoded form, so only one spelling is accepted. We spelt everything that the MAC covers.
        if not hmac.compare_digest(signature_segment, encode_segment(mac(signed))):
            raise InvalidGrant("malformed", "signature")
        try:
            claims = _decode_refresh(decode_own(payload_segment))
            ref, tag = GrantRef(claims.client_id, bytes.fromhex(claims.sid)), bytes.fromhex(claims.jti)
        except ValueError as error:
            raise InvalidGrant("malformed") from error
        if claims.iss != self._issuer or claims.aud != self.audience:
            raise InvalidGrant("malformed", "made for another issuer")
        if not 0 <= claims.gen < 2**63:
            raise InvalidGrant("malformed", "no such generation can exist")
        if now >= claims.exp:
            raise InvalidGrant("expired")
        return OpenedRefreshToken(ref, claims.gen, tag)


def unverified_issuer(token: bytes) -> str | None:
    """The issuer that a refresh token names, None if it names none.

    It proves nothing. It is for an operator who inspects a token of their own server.
    """
    try:
        return _decode_refresh(decode_segment(token.split(b".")[1])).iss
    except (ValueError, IndexError, RecursionError):
        return None


def unverified_audience(token: bytes) -> str | None:
    """The audience that a refresh token names, None if it names none. It proves nothing."""
    try:
        return _decode_refresh(decode_segment(token.split(b".")[1])).aud
    except (ValueError, IndexError, RecursionError):
        return None


def _header(secret: ServerSecret) -> bytes:
    return encode_segment(b'{"typ":"rt+jwt","alg":"HS256","kid":"%b"}' % secret.kid.encode())


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 under one secret. The keyed state is made once, because making it costs more than the hashing."""
    keyed = HMAC(secret, hashes.SHA256())

    def mac(data: bytes) -> bytes:
        state = keyed.copy()
        state.update(data)
        return state.finalize()

    return mac


_NO_SECRET = (2**62, b"", _hs256(b""))
"""What mints never."""
