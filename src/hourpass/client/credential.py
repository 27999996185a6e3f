"""A credential: one access token, the refresh token that follows it, and when it counts.

Pure: instants come in as arguments. `issued_at` and all that follows from it lie on the caller's own clock; only what
`dump` writes is wall-clock time, because it outlives the process.
"""

import json
import re
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from hourpass.core.policy import SECOND

Freshness = Literal["fresh", "due", "unusable"]
"""Before soft; past soft, so that a refresh should be under way; past hard, so that it must not be sent."""

SOFT_SHARE = 0.75
"""A quarter of the lifetime is left for retries when a refresh becomes due."""

JITTER_SHARE = 2 / 15
"""Of the time until soft: 10 % of the lifetime where soft is at 75 % of it. Earlier only, never later."""

HARD_MARGIN = 10 * SECOND
HARD_SHARE = 0.02
"""The last 10 s or 2 % are for requests under way and for clocks that run apart."""

MARGIN_CAP = 0.2
"""No margin takes more than a fifth of a short lifetime: hard stays after soft, and after 0."""


_TOKEN = re.compile(r"[!-~]{1,65536}", re.ASCII)


def is_token(value: object) -> bool:
    """Whether a text can be a token at all: visible ASCII, so that it fits a header's value (RFC 9110 §5.5).

    One that cannot is worth nothing, wherever it was read: a cache, a file, an agent's answer.
    """
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


class Credential(NamedTuple):
    """An immutable snapshot, swapped whole. Instants and durations are milliseconds.

    `number` grows with every new one. `issued_at` is when the request for it was about to be sent, so it never counts
    longer than the server means. `exchanged_at` is when the API key opened its grant, `key_name` which key that was;
    None where that is not known.
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
        """Whether it is to be used, to be followed by another, or not to be used at all."""
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
    """Date a token that was just granted. `jitter` is from 0 to 1; `refresh_in` is the server's own soft, if any.

    soft = 75 % of the lifetime less up to 10 % of it; hard = the lifetime less 10 s or 2 %, whichever is more, but
    never more than a fifth. So soft < hard holds for any lifetime from 100 ms: 12 s give 7.8 to 9 s and 9.6 s.
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
    """What a key goes by in a cache: 16 hex digits that are good for telling keys apart, and for nothing else.

    A key has 128 random bits at least, so that nobody finds it by trying.
    """
    return sha256(b"hourpass cache\0" + api_key.strip().encode()).hexdigest()[:16]


def fingerprint(access_token: str) -> str:
    """A token's short name for talk about it: the first 16 hex digits of its SHA-256."""
    return sha256(access_token.encode()).hexdigest()[:16]


def newest(*credentials: Credential | None) -> Credential | None:
    """The one with the highest number, the first of equals."""
    return max((one for one in credentials if one is not None), key=lambda one: one.number, default=None)


def dump_credential(credential: Credential, owner: str, now: int, wall: int) -> bytes:
    """What a cache keeps. `owner` says whose it is; `wall` is the epoch milliseconds of the instant `now`."""
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
    """Read what a cache kept; None for what `dump_credential` did not write for this owner, or another key opened.

    Where either name of a key is not known, they count as the same.
    A token that seems to come from the future was issued before the clock was set back. Nobody can tell its age, so it
    counts as expired; its refresh token is as good as ever.
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
