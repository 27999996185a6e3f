"""Judges one token by keys and revocations that others keep up to date. The result is claims or a refusal.

Signature, claims and revocation are checked in that order, each on every call. The issuer uses it with its own keys,
`Verifier` with fetched ones.

Every cache vulnerability in this field had one shape: a decision was cached. Here only what cannot change is kept: the
claims that a valid signature covers, and the key that made it. Time, keys, revocation and policy are judged on every
hit.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from hourpass.core.claims import Claims, Expected, accepted_until, validate_claims
from hourpass.core.errors import InvalidToken
from hourpass.core.revocation import Revocations
from hourpass.jose import VerificationKey, open_access_token

CAPACITY = 10_000
"""How many tokens are remembered. They take about ten megabytes."""


class Fact(NamedTuple):
    """A valid signature: the claims that it covers, the key that made it, and the token's end (epoch milliseconds)."""

    claims: Claims
    key: VerificationKey
    accepted_until: int


class TokenCache:
    """Facts by the SHA-256 of the whole token: a hit proves that the token was seen before, to the last byte.

    The least recently used facts are dropped first. Instead of a full LRU there are two generations, each with half the
    capacity. A caller may look into `young` itself, so a hit there costs only that look-up.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._half = max(1, capacity // 2)
        self._old: dict[bytes, Fact] = {}
        self.young: dict[bytes, Fact] = {}

    def recall(self, digest: bytes) -> Fact | None:
        """The fact of a token that is not in `young`, if it is remembered at all."""
        fact = self._old.get(digest)
        if fact is not None:
            self.put(digest, fact)
        return fact

    def put(self, digest: bytes, fact: Fact) -> None:
        """Remember a fact."""
        if len(self.young) >= self._half:
            self._old, self.young = self.young, {}
        self.young[digest] = fact

    def __len__(self) -> int:
        """How many facts are remembered."""
        return len(self._old.keys() | self.young.keys())


class TokenVerifier:
    """Verifies access tokens of one issuer for one audience.

    Keys and revocations are looked up again on every call.
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
        # In a shared cache each verifier sees only its own facts, because claims are validated by what it expects.
        self._identity = sha256(repr(expected).encode())

    def verify(self, token: bytes, now: int) -> Claims:
        """Verify a token and return its claims. `now` is epoch milliseconds. The route checks the scope.

        Raises:
            InvalidToken: the token is refused, for one of the fixed reasons.
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
