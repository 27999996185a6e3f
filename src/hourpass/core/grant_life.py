"""The life of a grant, told from what is still known of it: its row, its lines in the audit trail, and its key.

A grant remembers few of its rotations. The others are told as one gap, never guessed.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, get_args

from hourpass.core.address import unpack_address
from hourpass.core.api_key import ApiKey
from hourpass.core.grant import Grant, is_live

LifeKind = Literal[
    "opened",
    "rotations_not_remembered",
    "rotated",
    "retried_elsewhere",
    "ahead",
    "replayed",
    "token_revoked",
    "revoked",
    "key_ended",
    "expired",
    "expires",
]

_ORDER = {kind: position for position, kind in enumerate(get_args(LifeKind))}
"""At the same instant they are told in this order."""

LifeWeight = Literal["plain", "warn", "bad"]


_Told = tuple[LifeKind, LifeWeight, str]

_REPLAYED = "A superseded refresh token came back: it may be stolen. The grant was ended."

_TOLD: dict[str, _Told] = {
    "refresh.retried_elsewhere": (
        "retried_elsewhere",
        "warn",
        "A refresh was repeated from another address. The rotation came from {rotated_from}.",
    ),
    "refresh.ahead": (
        "ahead",
        "warn",
        "A refresh token came that the database does not know yet: it was restored, or lost what it had.",
    ),
    "grant.replayed": ("replayed", "bad", _REPLAYED),
    "token.revoked": ("token_revoked", "plain", "An access token was revoked."),
}
"""What the trail's events mean for a grant."""


class TrailLine(NamedTuple):
    """What the audit trail says of a grant. `at` is epoch milliseconds, `detail` the members of the event."""

    at: int
    event: str
    address: str | None
    actor: str | None
    detail: dict[str, object]


class LifeEvent(NamedTuple):
    """Something that happened to a grant, or will: `at` epoch milliseconds, and how grave it is.

    `generation` is the one that began then, or that was presented. `address` and `actor` are None if not known.
    """

    at: int
    kind: LifeKind
    sentence: str
    weight: LifeWeight = "plain"
    generation: int | None = None
    address: str | None = None
    actor: str | None = None


def life_of(grant: Grant, key: ApiKey | None, lines: Iterable[TrailLine], now: int) -> list[LifeEvent]:
    """All that is known, oldest first. What is planned comes last, if the grant has not ended."""
    told = [event for line in lines for event in _from_trail(line)]
    known = [*_rotations(grant), *told, *_ends(grant, key, told, now)]
    return sorted(known, key=lambda event: (event.at, _ORDER[event.kind]))


def ended_at(grant: Grant, key: ApiKey | None, now: int) -> int | None:
    """When the grant ended. None if it has not, or if that is not known: with its key's record, or with a secret."""
    if grant.revoked_at is not None:
        return grant.revoked_at
    at = min(grant.idle_expires_at, grant.expires_at)
    if (ended := _key_ended(grant, key)) is not None:
        at = min(at, ended.at)
    return at if at <= now else None


def _rotations(grant: Grant) -> Iterator[LifeEvent]:
    opened_from = _address(grant.opened_from)
    yield LifeEvent(grant.created_at, "opened", "The key was exchanged.", generation=0, address=opened_from)
    remembered = len(grant.superseded)
    if forgotten := grant.generation - remembered:
        # They lie between the exchange and the oldest rotation that is remembered.
        oldest = grant.superseded[-1] if remembered else None
        yield LifeEvent(
            grant.created_at if oldest is None else oldest,
            "rotations_not_remembered",
            f"{forgotten:,} {'rotation' if forgotten == 1 else 'rotations'} "
            f"{'since then' if oldest is None else 'before this'} {'is' if forgotten == 1 else 'are'} "
            "not remembered one by one.",
            generation=forgotten,
        )
    for position, at in enumerate(reversed(grant.superseded), start=1):
        is_last = position == remembered
        yield LifeEvent(
            at,
            "rotated",
            "The refresh token was rotated.",
            generation=forgotten + position,
            address=_address(grant.last_from) if is_last else None,
        )


def _from_trail(line: TrailLine) -> Iterator[LifeEvent]:
    if line.event == "grant.revoked":
        told: _Told | None = ("revoked", "warn", _revoked(line.detail.get("why")))
    else:
        told = _TOLD.get(line.event)
    if told is not None:
        kind, weight, sentence = told
        presented = line.detail.get("presented_generation")
        generation = presented if isinstance(presented, int) else None
        words = sentence.format(rotated_from=line.detail.get("rotated_from"))
        yield LifeEvent(line.at, kind, words, weight, generation, line.address, line.actor)


def _revoked(why: object) -> str:
    match why:
        case "token_revoked":
            return "Its refresh token was revoked by its client."
        case "restored":
            return "The installation was restored from a backup, which ends every grant."
        case "replayed":
            return _REPLAYED
        case _:
            return "The grant was revoked."


def _ends(grant: Grant, key: ApiKey | None, told: list[LifeEvent], now: int) -> Iterator[LifeEvent]:
    """How it ended, or will. An end that the trail tells is not told again."""
    if grant.revoked_at is not None:
        if not any(event.kind in {"revoked", "replayed"} for event in told):
            replayed = grant.revoked_why == "replayed"
            words = _revoked(grant.revoked_why)
            yield LifeEvent(
                grant.revoked_at, "replayed" if replayed else "revoked", words, "bad" if replayed else "warn"
            )
        return
    expires_at = min(grant.idle_expires_at, grant.expires_at)
    ended = _key_ended(grant, key)
    if ended is not None and ended.at <= min(now, expires_at):
        yield ended
    elif is_live(grant, now):
        why = "if it is not refreshed" if grant.idle_expires_at < grant.expires_at else "however often it is refreshed"
        yield LifeEvent(expires_at, "expires", f"The grant expires, {why}.")
    else:
        why = "it was not refreshed for too long" if grant.idle_expires_at < grant.expires_at else "it was too old"
        yield LifeEvent(expires_at, "expired", f"The grant expired: {why}.")


def _key_ended(grant: Grant, key: ApiKey | None) -> LifeEvent | None:
    if key is None:
        return None
    ends = [
        (key.revoked_at, "Its key was revoked."),
        (key.expires_at, "Its key expired."),
        (key.valid_from if grant.created_at < (key.valid_from or 0) else None, "Its key was replaced at once."),
    ]
    at, words = min(((at, words) for at, words in ends if at is not None), default=(None, ""))
    return None if at is None else LifeEvent(at, "key_ended", words, "warn")


def _address(packed: bytes | None) -> str | None:
    return None if packed is None else unpack_address(packed)
