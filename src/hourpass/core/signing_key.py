"""The life of a signing key: published -> signing -> verify_only -> gone.

A key is published before it signs, so that no verifier meets a key that it cannot know. It stays published until the
last token it signed has expired. The states follow from instants (epoch milliseconds), so no job switches them.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from hourpass.core.policy import LEEWAY, Policy

SigningKeyState = Literal["published", "signing", "verify_only", "gone"]
Algorithm = Literal["ES256", "Ed25519", "RS256"]


class SigningKey(NamedTuple):
    """A signing key without its private half. `retired_at` is when its successor takes over, None if it has none."""

    kid: str
    algorithm: Algorithm
    published_at: int
    signs_from: int
    retired_at: int | None = None


def signing_key_state(key: SigningKey, now: int, policy: Policy) -> SigningKeyState:
    """The state at an instant. At exactly a boundary the later state holds."""
    if now < key.signs_from:
        return "published"
    if key.retired_at is None or now < key.retired_at:
        return "signing"
    return "verify_only" if now < (verifies_until(key, policy) or 0) else "gone"


def verifies_until(key: SigningKey, policy: Policy) -> int | None:
    """The instant from which the key verifies nothing any more. None if it has no successor yet."""
    return None if key.retired_at is None else key.retired_at + policy.access_token_lifetime + LEEWAY


def key_that_signs(keys: Iterable[SigningKey], now: int, policy: Policy) -> SigningKey | None:
    """The key that signs now: the newest one in its signing state, or else the next one that waits to sign.

    Why one that waits: a key may have been made while a clock was ahead. Without this rule nobody would get a token
    until its instant comes. Verifiers know the key already, because it is published.
    """
    keys = list(keys)
    signing = [key for key in keys if signing_key_state(key, now, policy) == "signing"]
    waiting = [key for key in keys if signing_key_state(key, now, policy) == "published"]
    first_waiting = min(waiting, key=lambda key: key.signs_from, default=None)
    return max(signing, key=lambda key: key.signs_from, default=first_waiting)


def signs_until(keys: Iterable[SigningKey], now: int, policy: Policy) -> int | None:
    """The instant from which no key signs any more. None if nobody has planned that."""
    able = [key for key in keys if signing_key_state(key, now, policy) in ("published", "signing")]
    if any(key.retired_at is None for key in able):
        return None
    return max((key.retired_at or now for key in able), default=now)


def schedule(kid: str, algorithm: Algorithm, existing: Iterable[SigningKey], now: int, policy: Policy) -> SigningKey:
    """A new key. It signs at once if no other key can, and otherwise after it was published for long enough."""
    signs_from = now if key_that_signs(existing, now, policy) is None else now + policy.publish_ahead
    return SigningKey(kid, algorithm, now, signs_from)


def retire(key: SigningKey, successor: SigningKey) -> SigningKey:
    """The key after its successor is scheduled: it signs until the successor does."""
    return key._replace(retired_at=successor.signs_from)


def stand_in(kid: str, withdrawn: SigningKey, now: int) -> SigningKey:
    """The key that takes the place of a withdrawn one. It signs when that one would have, but not before `now`.

    So there is always a key that signs, and a rotation under way goes on as planned.
    """
    signs_from = max(now, withdrawn.signs_from)
    return withdrawn._replace(kid=kid, published_at=now, signs_from=signs_from)
