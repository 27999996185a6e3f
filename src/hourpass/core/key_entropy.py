"""How hard a key is to guess, estimated from its text alone: alphabet × length, less repeats and sequences.

A key that somebody made up by hand would be found by trying. An estimate cannot tell a random text from one that only
looks so. It is there to refuse what is weak beyond doubt, and passes 16 random base-62 characters.
"""

import re
from math import log2

ENOUGH = 80.0
"""Bits: what a machine cannot try through, even with the hash at home."""

_PARTS = re.compile(r"[-_.:/+=]+")
_CLASSES = (
    (re.compile(r"[a-z]"), 26),
    (re.compile(r"[A-Z]"), 26),
    (re.compile(r"[0-9]"), 10),
    (re.compile(r"[^a-zA-Z0-9]"), 32),
)
_HEX = (re.compile(r"[0-9a-f]+"), re.compile(r"[0-9A-F]+"))
_DIGITS = re.compile(r"[0-9]+")


_PREDICTABLE = frozenset(
    (chr(at), chr(at + step), chr(at + 2 * step)) for at in range(0x21, 0x7F) for step in (-1, 0, 1)
)
"""Three of one character, or of neighbours in either direction: the third does not surprise."""


def estimated_bits(text: str) -> float:
    """The bits of entropy that a text may have. Each part between separators has an alphabet of its own.

    A character that ends a triple of the same text is a repeat.
    """
    bits = 0.0
    seen: set[tuple[str, str, str]] = set(_PREDICTABLE)
    for part in _PARTS.split(text):
        before = len(seen)
        seen.update(zip(part, part[1:], part[2:], strict=False))
        bits += log2(_alphabet(part)) * (min(2, len(part)) + len(seen) - before) if part else 0.0
    return bits


def _alphabet(part: str) -> int:
    if _DIGITS.fullmatch(part):
        return 10
    if any(pattern.fullmatch(part) for pattern in _HEX):
        return 16
    return sum(size for pattern, size in _CLASSES if pattern.search(part))
