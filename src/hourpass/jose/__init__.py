"""Mints and opens tokens, and has the keys for it. This is the only package that knows JOSE.

Tokens are composed and opened by hand, because the contract fixes the header's members and their order. The header
segment of a token is never parsed. It is compared with the few that our own keys can produce, so a token cannot choose
its algorithm, key or extensions (RFC 8725 §3.1). Every other part must first pass a strict check for canonical
base64url.
"""

from hourpass.jose.access import (
    AccessClaims,
    SigningKeyPair,
    UnknownKey,
    open_access_token,
    open_feed,
    unique_members,
)
from hourpass.jose.keys import Jwk, VerificationKey, verification_key
from hourpass.jose.refresh import (
    OpenedRefreshToken,
    RefreshTokens,
    UnknownSecret,
    unverified_audience,
    unverified_issuer,
)
from hourpass.jose.segments import MAX_TOKEN_LENGTH, decode_segment, encode_segment

__all__ = [
    "MAX_TOKEN_LENGTH",
    "AccessClaims",
    "Jwk",
    "OpenedRefreshToken",
    "RefreshTokens",
    "SigningKeyPair",
    "UnknownKey",
    "UnknownSecret",
    "VerificationKey",
    "decode_segment",
    "encode_segment",
    "open_access_token",
    "open_feed",
    "unique_members",
    "unverified_audience",
    "unverified_issuer",
    "verification_key",
]
