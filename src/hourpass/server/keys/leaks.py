"""Finds out which of the keys that somebody found are this server's, and what is known about them.

Keys are found by their shape. An imported key has the shape of its first issuer, so it is not found here.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hourpass.core.api_key import (
    ApiKey,
    KeySecret,
    KeyTrouble,
    UseKind,
    keys_in,
    secret_of,
    unverified_key_id,
    why_unusable,
)
from hourpass.core.last_use import LastUse, latest
from hourpass.server.keys.api_keys import last_uses_of
from hourpass.server.store import Store

OVERLAP = 128
"""Characters of a block that are read again with the next one: longer than any key."""

UNKNOWN_KEPT = 1_000_000
"""Digests of texts that are not ours, so that each is counted once. Beyond it they may be counted twice."""


MAY_COME_BACK: tuple[KeyTrouble | None, ...] = (None, "disabled")
"""The states in which a leaked key is worth its end: it is good, or can be enabled again."""


class Leak(NamedTuple):
    """A key of ours that somebody found. `secret` is the one that was found, `trouble` why it is refused already."""

    key: ApiKey
    secret: KeySecret
    trouble: KeyTrouble | None
    last_use: tuple[UseKind, LastUse] | None


class Leaks(NamedTuple):
    """What was found, in the order in which it came, and how many texts only looked like keys of ours."""

    ours: list[Leak]
    strangers: int


def find_leaks(store: Store, pepper: bytes, blocks: Iterable[str], now: int) -> Leaks:
    """The keys of this server in a text that comes in blocks. Text that is not a key takes no memory."""
    ours: dict[bytes, Leak] = {}
    strangers: set[int] = set()
    for text in _key_texts(blocks):
        leak = _identify(store, pepper, text, now)
        if leak is not None:
            ours.setdefault(leak.secret.digest, leak)
        elif len(strangers) < UNKNOWN_KEPT:
            strangers.add(hash(text))
    return Leaks(list(ours.values()), len(strangers))


def _key_texts(blocks: Iterable[str]) -> Iterator[str]:
    rest = ""
    for block in blocks:
        text = rest + block
        yield from keys_in(text)
        rest = text[-OVERLAP:]


def _identify(store: Store, pepper: bytes, text: str, now: int) -> Leak | None:
    key = store.key(unverified_key_id(text))
    secret = None if key is None else secret_of(text, key, pepper)
    if key is None or secret is None:
        return None
    return Leak(key, secret, why_unusable(key, now, secret), latest(last_uses_of(store, key.key_id)))
