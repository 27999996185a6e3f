"""Judging one token against keys and revocations that somebody else keeps up: claims or a refusal come out.

Signature, claims and revocation are checked in that order, each on every call; only the signature's outcome is
remembered. The issuer uses it with its own keys, `remote.Verifier` with fetched ones.
"""

from collections.abc import Mapping
from hashlib import sha256

from hourpass.core.claims import Claims, Expected, accepted_until, validate_claims
from hourpass.core.errors import InvalidToken
from hourpass.core.revocation import Revocations
from hourpass.jose import VerificationKey, open_access_token
from hourpass.verifier.token_cache import Fact, TokenCache


class TokenVerifier:
    """Verifies access tokens of one issuer for one audience.

    Keys and revocations are looked at afresh on every call.
    """

    def __init__(
        self,
        expected: Expected,
        keys: Mapping[bytes, VerificationKey],
        revocations: Revocations,
        *,
        cache: TokenCache | None = None,
    ) -> None:
        self._expected = expected
        self.keys = keys
        self._revocations = revocations
        self._cache = TokenCache() if cache is None else cache
        # Of a shared cache each verifier sees its own facts only: claims are validated against what it expects.
        self._identity = sha256(repr(expected).encode())

    def verify(self, token: bytes, now: int) -> Claims:
        """The token's claims; `now` is epoch milliseconds. Scope is the resource's to judge (`require_scope`).

        Raises:
            InvalidToken: with one of the fixed words.
        """
        state = self._identity.copy()
        state.update(token)
        digest = state.digest()
        fact = self._cache.young.get(digest) or self._cache.recall(digest)
        if fact is None or self.keys.get(fact.key.header) is not fact.key:
            unverified, key = open_access_token(token, self.keys)
            claims = validate_claims(unverified, now, self._expected)
            self._cache.put(digest, Fact(claims, key, accepted_until(claims, self._expected.late)))
        else:
            claims = fact.claims
            if now >= fact.accepted_until:
                raise InvalidToken("expired")
        if self._revocations.refuses(claims):
            raise InvalidToken("revoked")
        return claims
