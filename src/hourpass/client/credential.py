"""A credential: one access token, the refresh token that came with it, and how long it is valid.

Pure: instants are arguments. `issued_at`, and every instant that is computed from it, is on the caller's own clock.
Only `dump_credential` writes wall-clock time, because that outlives the process.
"""

import json
import re
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from hourpass.core.policy import SECOND

Freshness = Literal["fresh", "due", "unusable"]
"""Fresh: before soft. Due: past soft, so a refresh should be under way. Unusable: past hard, so it must not be sent."""

SOFT_SHARE = 0.75
"""Of the lifetime. When a refresh becomes due, a quarter of it is left for retries."""

JITTER_SHARE = 2 / 15
"""Of the time until soft: 10 % of the lifetime if soft is at 75 % of it. It makes soft earlier, never later."""

HARD_MARGIN = 10 * SECOND
HARD_SHARE = 0.02
"""The last 10 s or 2 % are for requests under way and for clocks that differ."""

MARGIN_CAP = 0.2
"""No margin takes more than a fifth of a short lifetime: hard stays after soft, and after 0."""


_TOKEN = re.compile(r"[!-~]{1,65536}", re.ASCII)


def is_token(value: object) -> bool:
    """Whether a text can be a token at all: visible ASCII, so that it fits a header's value (RFC 9110 §5.5).

    Any other text is refused, whether it comes from a cache, a file or an agent's answer.
    """
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


class Credential(NamedTuple):
    """An immutable snapshot, replaced as a whole. Instants and durations are milliseconds.

    `number` grows with every new one. `issued_at` is the instant just before its request was sent, so the client never
    believes it valid for longer than the server does. `exchanged_at` is when the API key opened its grant, and
    `key_name` is the name of that key. Both are None if they are unknown.
    """

    access_token: str
    refresh_token: str | None
    number: int
    issued_at: int
    lifetime: int
    soft: int
    hard: int
    exchanged_at: int | None = None
    key_name: str | None = None

    @property
    def expires_at(self) -> int:
        """When the server stops accepting it."""
        return self.issued_at + self.lifetime

    def freshness(self, now: int) -> Freshness:
        """Whether to use it, to use it and refresh, or not to use it."""
        if now >= self.hard:
            return "unusable"
        return "due" if now >= self.soft else "fresh"

    def is_usable(self, now: int) -> bool:
        """Whether it may still be sent."""
        return now < self.hard

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Credential(number={self.number}, issued_at={self.issued_at}, lifetime={self.lifetime})"


def new_credential(
    *,
    access_token: str,
    refresh_token: str | None,
    number: int,
    issued_at: int,
    lifetime: int,
    jitter: float,
    refresh_in: int | None = None,
    exchanged_at: int | None = None,
    key_name: str | None = None,
) -> Credential:
    """Compute soft and hard for a token that was just granted.

    `jitter` is from 0 to 1. `refresh_in` is the server's own soft, in milliseconds, if it sent one.

    soft is 75 % of the lifetime less up to 10 % of it. hard is the lifetime less a margin: 10 s or 2 %, the larger of
    the two, but at most a fifth. So soft < hard holds for any lifetime from 100 ms. For example 12 s give soft from
    7.8 s to 9 s, and hard at 9.6 s.
    """
    until_soft = lifetime * SOFT_SHARE
    if refresh_in is not None and 0 < refresh_in < until_soft:
        until_soft = refresh_in
    until_soft *= 1 - jitter * JITTER_SHARE
    margin = min(max(HARD_MARGIN, lifetime * HARD_SHARE), lifetime * MARGIN_CAP)
    return Credential(
        access_token=access_token,
        refresh_token=refresh_token,
        number=number,
        issued_at=issued_at,
        lifetime=lifetime,
        soft=issued_at + int(until_soft),
        hard=issued_at + int(lifetime - margin),
        exchanged_at=exchanged_at,
        key_name=key_name,
    )


def name_of_key(api_key: str) -> str:
    """A key's name in a cache: 16 hex digits that tell keys apart, and are good for nothing else.

    A key has at least 128 random bits, so nobody can find it from its name by trying.
    """
    return sha256(b"hourpass cache\0" + api_key.strip().encode()).hexdigest()[:16]


def fingerprint(access_token: str) -> str:
    """A token's short name: the first 16 hex digits of its SHA-256. It tells tokens apart without showing them."""
    return sha256(access_token.encode()).hexdigest()[:16]


def newest(*credentials: Credential | None) -> Credential | None:
    """The one with the highest number, the first of equals."""
    return max((one for one in credentials if one is not None), key=lambda one: one.number, default=None)


def dump_credential(credential: Credential, owner: str, now: int, wall: int) -> bytes:
    """The content of a cache. `owner` says whose it is. `wall` is the epoch milliseconds of the instant `now`."""
    record = {
        "version": 1,
        "owner": owner,
        "key_name": credential.key_name,
        "number": credential.number,
        "issued_at": wall - (now - credential.issued_at),
        "lifetime": credential.lifetime,
        "soft": credential.soft - credential.issued_at,
        "hard": credential.hard - credential.issued_at,
        "exchanged_at": None if credential.exchanged_at is None else wall - (now - credential.exchanged_at),
        "access_token": credential.access_token,
        "refresh_token": credential.refresh_token,
    }
    return json.dumps(record).encode()


def load_credential(
    content: bytes | None, owner: str, now: int, wall: int, key_name: str | None = None
) -> Credential | None:
    """Read the content of a cache. None if `dump_credential` did not write it for this owner, or for another key.

    If one of the two key names is unknown, the keys are taken to be the same.
    A token that seems to come from the future was issued before the clock was set back. Its age is unknown, so it is
    taken to be expired. Its refresh token is still used.
    """
    try:
        record = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("version") != 1 or record.get("owner") != owner:
        return None
    if not _is_sound(record) or (key_name and record.get("key_name") not in (None, key_name)):
        return None
    age = wall - record["issued_at"]
    issued_at = now - (age if age >= 0 else record["lifetime"])
    exchanged_at = record["exchanged_at"]
    return Credential(
        access_token=record["access_token"],
        refresh_token=record["refresh_token"],
        number=record["number"],
        issued_at=issued_at,
        lifetime=record["lifetime"],
        soft=issued_at + record["soft"],
        hard=issued_at + record["hard"],
        exchanged_at=None if exchanged_at is None or exchanged_at > wall else now - (wall - exchanged_at),
        key_name=record.get("key_name"),
    )


def _is_sound(record: dict[str, Any]) -> bool:
    instants = [record.get(name) for name in ("number", "issued_at", "lifetime", "soft", "hard")]
    if not all(type(value) is int for value in instants):
        return False
    return (
        0 <= record["soft"] < record["hard"] < record["lifetime"]
        and is_token(record.get("access_token"))
        and (record.get("refresh_token", b"") is None or is_token(record.get("refresh_token")))
        and isinstance(record.get("key_name"), str | None)
        and (record.get("exchanged_at", "") is None or type(record.get("exchanged_at")) is int)
    )
