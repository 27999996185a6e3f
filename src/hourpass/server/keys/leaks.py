"""Finds out which of the keys that somebody found are this server's, and ends them.

Keys are found by their shape. An imported key has the shape of its first issuer, so it is not found here.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hourpass.core.actor import Actor
from hourpass.core.api_key import (
    ApiKey,
    KeySecret,
    KeyTrouble,
    UseKind,
    keys_in,
    unverified_key_id,
    why_unusable,
)
from hourpass.core.errors import InvalidRequest
from hourpass.core.key_events import KeyLeaked
from hourpass.core.last_use import LastUse, latest
from hourpass.core.policy import Policy
from hourpass.core.revocation import Revocation
from hourpass.server.keys.api_keys import get_key, last_uses_of, revoke_key
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store import Store

OVERLAP = 128
"""Characters of a block that are read again with the next one: longer than any key."""

MOST = 1_000_000
"""Different texts of one finding: some 100 MB."""


MAY_COME_BACK: tuple[KeyTrouble | None, ...] = (None, "disabled", "expired")
"""The states in which a leaked key is worth its end: it is good, can be enabled again, or can get more time."""


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


def key_texts(blocks: Iterable[str]) -> list[str]:
    """The texts in blocks of text that look like keys, each once. Everything else takes no memory.

    Read them before a transaction begins, because a sender may be slow.

    Raises:
        InvalidRequest: if there are too many of them.
    """
    found: dict[str, None] = {}
    rest = ""
    for block in blocks:
        text = rest + block
        found.update(dict.fromkeys(keys_in(text)))
        if len(found) > MOST:
            raise InvalidRequest(f"more than {MOST} texts look like keys: give them in several parts")
        rest = text[-OVERLAP:]
    return list(found)


def find_leaks(store: Store, secrets: Secrets, texts: Iterable[str], now: int) -> Leaks:
    """The keys of this server among texts that look like keys."""
    ours: dict[bytes, Leak] = {}
    strangers = 0
    for text in dict.fromkeys(texts):  # twice the same is counted once, also if it is hidden from the caller
        leak = _identify(store, secrets, text, now)
        if leak is None:
            strangers += 1
        else:
            ours.setdefault(leak.secret.digest, leak)
    return Leaks(list(ours.values()), strangers)


def end_leaked_key(store: Store, key_id: str, now: int, policy: Policy, actor: Actor) -> Revocation | None:
    """Revoke a key because it leaked, as an operator says. None if the key was revoked before.

    Raises:
        NotFound: if no key has this id.
    """
    if get_key(store, key_id).revoked_at is not None:
        return None
    store.append_audit(now, [KeyLeaked(key_id, "operator", "", actor)])
    return revoke_key(store, key_id, now, policy, actor, why="leaked")


def _identify(store: Store, secrets: Secrets, text: str, now: int) -> Leak | None:
    key = store.key(unverified_key_id(text))
    secret = None if key is None else secrets.secret_in(key, text)
    if key is None or secret is None:
        return None
    return Leak(key, secret, why_unusable(key, now, secret), latest(last_uses_of(store, key.key_id)))
