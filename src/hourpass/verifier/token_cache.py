"""A cache of facts about tokens, never of decisions.

Every cache vulnerability in this field had one shape: a decision was cached. Here only what cannot change is kept: the
claims that a valid signature covers, and the key that made it. Time, keys, revocation and policy are judged on every
hit.
"""

from hashlib import sha256
from typing import NamedTuple

from hourpass.core.claims import Claims
from hourpass.jose import VerificationKey

CAPACITY = 10_000
"""Tokens remembered: some ten megabytes."""


class Fact(NamedTuple):
    """A valid signature: what it covers, and the key that made it."""

    claims: Claims
    key: VerificationKey


class TokenCache:
    """Facts by the SHA-256 of the whole token, so that a look-up proves the token was seen before to the last byte.

    Least recently used facts go first. A dictionary keeps insertion order, which is all that this needs.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._old: dict[bytes, Fact] = {}
        self._young: dict[bytes, Fact] = {}

    def get(self, token: bytes) -> tuple[bytes, Fact | None]:
        """The token's digest, and its fact if it is remembered."""
        digest = sha256(token).digest()
        fact = self._young.get(digest)
        if fact is None and (fact := self._old.get(digest)) is not None:
            self.put(digest, fact)
        return digest, fact

    def put(self, digest: bytes, fact: Fact) -> None:
        """Remember a fact. Two generations of half the capacity each stand in for a full LRU: no work on a hit."""
        if len(self._young) >= self._capacity // 2:
            self._old, self._young = self._young, {}
        self._young[digest] = fact

    def __len__(self) -> int:
        """How many facts are remembered."""
        return len(self._old.keys() | self._young.keys())
