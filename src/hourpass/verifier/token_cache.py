"""A cache of facts about tokens, never of decisions.

Every cache vulnerability in this field had one shape: a decision was cached. Here only what cannot change is kept: the
claims that a valid signature covers, and the key that made it. Time, keys, revocation and policy are judged on every
hit.
"""

from typing import NamedTuple

from hourpass.core.claims import Claims
from hourpass.jose import VerificationKey

CAPACITY = 10_000
"""Tokens remembered: some ten megabytes."""


class Fact(NamedTuple):
    """A valid signature: what it covers, the key that made it, and when it is over (epoch milliseconds)."""

    claims: Claims
    key: VerificationKey
    accepted_until: int


class TokenCache:
    """Facts by the SHA-256 of the whole token: a look-up proves that the token was seen before, to the last byte.

    Least recently used facts go first: two generations of half the capacity each stand in for a full LRU, so that a hit
    in the young one, which a caller may look up in `young` itself, costs nothing but the look-up.
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
