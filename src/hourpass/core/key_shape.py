"""How a key of our own making looks, for everything that tells keys from other text: scanners, logs, the command line.

    hp_production_3fK9mZ8qLx2P_7Qm1XcVb…a1B2c3

The prefix is the operator's choice (setting `key_prefix`), so a scanner can tell providers apart. Keys with an earlier
prefix stay valid, so everything here accepts every prefix.
"""

import re

PREFIX = "hp"
"""The prefix if the operator chooses none."""

_ANY_PREFIX = "[a-z][a-z0-9]{0,15}"

PREFIX_PATTERN = re.compile(_ANY_PREFIX, re.ASCII)

_AFTER_PREFIX = "_(production|sandbox)_([0-9A-Za-z]{12})_([0-9A-Za-z]{26})([0-9A-Za-z]{6})"

KEY_PATTERN = re.compile(_ANY_PREFIX + _AFTER_PREFIX, re.ASCII)
"""A whole key: its environment, its id, its secret and its checksum are the groups."""

BEGINNING = rf"{_ANY_PREFIX}_(?:production|sandbox)_"
"""How every key begins, as a regular expression to build on."""

_AFTER = re.compile(_AFTER_PREFIX, re.ASCII)

_LONGEST_PREFIX = 16

_PREFIX_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


def published_pattern(prefix: str) -> str:
    """The regular expression that finds the keys of one prefix. Every scanner's engine understands it."""
    # Without word boundaries: keys leak as `\\nhp_…` in JSON and as `key%3Dhp_…` in forms.
    return rf"{prefix}_(?:production|sandbox)_[0-9A-Za-z]{{12}}_[0-9A-Za-z]{{32}}"


def candidates(text: str) -> list[str]:
    """Every part of a text that has the form of a key. Only its checksum tells whether it is one.

    A key may follow other letters directly, as in `apikeyhp_production_…`. So each beginning is tried.
    """
    found: list[str] = []
    for match in _AFTER.finditer(text):
        for start in range(match.start() - 1, max(-1, match.start() - 1 - _LONGEST_PREFIX), -1):
            if text[start] not in _PREFIX_LETTERS:
                break
            if not text[start].isdigit():
                found.append(text[start : match.end()])
    return found
