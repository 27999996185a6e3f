"""How the secret of an API key is replaced: `decide_rotation` makes the next one, `first_use` makes it the current one.

A next secret waits until it is used for the first time. Only then does the overlap begin, after which the one before it
ends. So an answer that was lost costs nothing. At most two secrets prove a key at any instant.
"""

from hashlib import blake2b
from typing import NamedTuple

from hourpass.core.api_key import ApiKey, KeySecret, KeyTrouble, key_text, why_unusable
from hourpass.core.key_shape import PREFIX
from hourpass.core.policy import DAY, SECOND

MAX_OVERLAP = 30 * DAY
"""The longest time for which the old secret may go on beside the new one."""

ENDED_KEPT = 8
"""Derived secrets of a key that are kept after their end, the newest ones: who uses one is told that it was rotated."""

SEED_BYTES = 16

ENDED = 0
"""The `ends_at` of a secret that no clock can revive."""


class MakeNext(NamedTuple):
    """A next secret is to be made, under the number `n`. `keep` are the other secrets as they are then, `drop` go.

    `at_once` says that it is the current one from the beginning, and `valid_from` that grants and tokens of before that
    instant are dead.
    """

    n: int
    keep: tuple[KeySecret, ...]
    drop: tuple[KeySecret, ...]
    at_once: bool = False
    valid_from: int | None = None


class SameAgain(NamedTuple):
    """The next secret was made before, for the same question: it is the answer again."""

    secret: KeySecret


class TwoAlive(NamedTuple):
    """Two secrets are alive until `ends_at`: there is no third one before that."""

    ends_at: int


class CannotRotate(NamedTuple):
    """The key, or the secret that proved it, has ended."""

    why: KeyTrouble


Rotation = MakeNext | SameAgain | TwoAlive | CannotRotate


def decide_rotation(key: ApiKey, now: int, presented: KeySecret | None = None) -> Rotation:
    """Decide what becomes of a request for the key's next secret.

    `presented` is the secret that asks for its successor: the same question has the same answer. None is an operator:
    a next secret that was never used is replaced by another one.
    """
    if trouble := why_unusable(key, now, presented):
        return CannotRotate(trouble)
    waiting = pending_secret(key)
    if waiting is not None and presented is not None:
        if presented.n < waiting.n and waiting.seed is not None:
            return SameAgain(waiting)
        if presented.n == waiting.n:
            # It was used just now. If no secret can be made for it, this is not a use, and nothing is stored of it.
            used = first_use(key, presented, now)
            key, waiting = key._replace(secrets=used or key.secrets), None
    staying = [secret for secret in key.secrets if secret is not waiting]
    alive = [secret for secret in staying if is_alive(secret, now)]
    if len(alive) > 1:
        if presented is not None and presented.n < alive[-1].n and alive[-1].seed is not None:
            return SameAgain(alive[-1])
        return TwoAlive(max(secret.ends_at or 0 for secret in alive[:-1]))
    ended = [secret._replace(ends_at=ENDED) for secret in staying if not is_alive(secret, now)]
    return _next(key, ended, alive, waiting)


def decide_rotation_at_once(key: ApiKey, now: int) -> MakeNext | CannotRotate:
    """Decide a rotation after a leak: every secret ends now, and so does all that was opened or issued until now.

    That is until the next whole second, because the `iat` of a token is in whole seconds.
    """
    if trouble := why_unusable(key, now):
        return CannotRotate(trouble)
    ended = [secret._replace(ends_at=ENDED) for secret in key.secrets]
    waiting = pending_secret(key)
    made = _next(key, [secret for secret in ended if waiting is None or secret.n != waiting.n], [], waiting)
    return made._replace(at_once=True, valid_from=(now // SECOND + 1) * SECOND)


def first_use(key: ApiKey, secret: KeySecret, now: int) -> tuple[KeySecret, ...] | None:
    """The key's secrets after its next one was used: it is the current one, and the overlap begins for the other.

    None if the secret is not the next one, or not any more: then nothing changes.
    """
    waiting = pending_secret(key)
    if waiting is None or waiting.n != secret.n:
        return None
    ends_at = now + (waiting.overlap or 0)
    return tuple(
        each._replace(first_used_at=now)
        if each.n == waiting.n
        else each._replace(ends_at=ends_at)
        if each.ends_at is None
        else each
        for each in key.secrets
    )


def pending_secret(key: ApiKey) -> KeySecret | None:
    """The next secret of a key, if one waits for its first use."""
    endless = [secret for secret in key.secrets if secret.ends_at is None]
    return endless[-1] if len(endless) > 1 else None


def old_secret_until(key: ApiKey, now: int) -> int | None:
    """When the overlap ends, if one is under way: until then an earlier secret proves the key, too."""
    return max((secret.ends_at for secret in key.secrets if secret.ends_at and is_alive(secret, now)), default=None)


def may_be_pending(secret: KeySecret) -> bool:
    """Whether a secret may be one that waits for its first use, by itself: the hot path asks no more than this."""
    return secret.first_used_at is None and secret.n > 0


def is_alive(secret: KeySecret, now: int) -> bool:
    """Whether a secret can prove its key. At exactly `ends_at` it cannot."""
    return secret.ends_at is None or now < secret.ends_at


def next_key_text(rotation_secret: bytes, key: ApiKey, n: int, seed: bytes, prefix: str = PREFIX) -> str:
    """The text of a derived secret: it needs the server's own secret, and the seed that only the database holds."""
    derived = blake2b(key.key_id.encode() + n.to_bytes(8, "big") + seed, key=rotation_secret, digest_size=32).digest()
    return key_text(prefix, key.environment, key.key_id, int.from_bytes(derived, "big"))


def _next(key: ApiKey, ended: list[KeySecret], alive: list[KeySecret], waiting: KeySecret | None) -> MakeNext:
    """Make the next one, beside those that stay. A number is never given twice: the newest one is in `key`."""
    # A secret that was not made here is never forgotten: an import that brings it again must find that it has ended.
    own = [secret for secret in ended if secret.seed is not None]
    forgotten = own[: max(0, len(own) - ENDED_KEPT)]
    drop = (*forgotten, *(() if waiting is None else (waiting,)))
    return MakeNext(key.secrets[-1].n + 1, (*(each for each in ended if each not in forgotten), *alive), drop)
