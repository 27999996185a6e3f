"""The hashes that the digests of imported keys are made of: `digest = MAC(pepper, hash(text))`.

If a key was imported in plain, its digest is made like that of our own keys. If the provider kept only a hash, that
hash is imported, and the digest is a MAC of it. So nobody who has the provider's hashes can search our database for a
key.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal, NamedTuple, assert_never

FastAlgorithm = Literal["sha256", "sha512", "hmac-sha256"]
"""The hashes by which a key can be found."""

SHORTEST, LONGEST = 16, 512
"""Characters of a key that was not made here."""

_VISIBLE = re.compile(r"[\x21-\x7e]{16,512}", re.ASCII)


def may_be_imported(text: str) -> bool:
    """Whether this text can be a key that was not made here: 16 to 512 visible ASCII characters."""
    return _VISIBLE.fullmatch(text) is not None


def limits_of(text: str) -> str | None:
    """Where a key that was not made here cannot go, in words. None if every header carries it."""
    basic = "a colon, which HTTP Basic cannot carry" if ":" in text else ""
    others = "a comma, which other headers cannot carry" if "," in text else ""
    return f"the key has {', and '.join(filter(None, (basic, others)))}" if basic or others else None


class KeyHash(NamedTuple):
    """A hash that digests are made of. For `hmac-sha256` it has the provider's `secret`, and `kid` names that."""

    algorithm: Literal["plain"] | FastAlgorithm
    kid: str = ""
    secret: bytes = b""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"KeyHash({self.name!r})"

    @property
    def name(self) -> str:
        """The name under which the database keeps it."""
        return f"{self.algorithm}:{self.kid}" if self.kid else self.algorithm

    def of(self, text: str) -> bytes:
        """What the provider kept of a key: its hash, or the text itself."""
        raw = text.encode("ascii")
        match self.algorithm:
            case "plain":
                return raw
            case "sha256":
                return hashlib.sha256(raw).digest()
            case "sha512":
                return hashlib.sha512(raw).digest()
            case "hmac-sha256":
                return hmac.digest(self.secret, raw, "sha256")
            case _:  # pragma: no cover - the type checker proves it unreachable
                assert_never(self.algorithm)


PLAIN = KeyHash("plain")


def imported_digest(pepper: bytes, hashed: bytes) -> bytes:
    """The digest that is stored for an imported key. `hashed` comes from `KeyHash.of`."""
    return blake2b(hashed, key=pepper, digest_size=32).digest()


def slow_digest(pepper: bytes, hashed: str) -> bytes:
    """What stands for a slow hash among the digests. No text has this digest: none begins like this."""
    return imported_digest(pepper, b"\0slow\0" + hashed.encode())


class KeyHashes(NamedTuple):
    """What imported keys are found by: `fast` hashes, plain first, and how long the look-up parts of slow ones are."""

    fast: tuple[KeyHash, ...] = ()
    lookups: tuple[int, ...] = ()

    def digests(self, pepper: bytes, text: str) -> Iterator[bytes]:
        """What may be stored of this text, if it is an imported key."""
        return (imported_digest(pepper, each.of(text)) for each in self.fast)
