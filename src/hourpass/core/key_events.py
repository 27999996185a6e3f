"""What the audit trail says about API keys: one type for each event. None holds a key or a digest."""

from typing import NamedTuple

from hourpass.core.actor import SERVER, Actor


class KeyCreated(NamedTuple):
    """An API key was made. The last three are those of an admin key: what it may do from the beginning on."""

    key_id: str
    name: str
    actor: Actor
    admin: str | None = None
    subject_prefix: str | None = None
    max_scope: str | None = None


class KeyImported(NamedTuple):
    """An API key that another system had made was imported."""

    key_id: str
    name: str
    actor: Actor


class KeyRevoked(NamedTuple):
    """An API key was revoked. Its grants and their access tokens end with it.

    `reason` is `revoked` (an operator's decision), `exposed` (somebody who had the key ended it) or `leaked`. Before
    one that leaked there is a `KeyLeaked`.
    """

    key_id: str
    reason: str
    actor: Actor


class KeyLeaked(NamedTuple):
    """An API key leaked: `reported_by` a scanner (`github`), or an operator who ended it for that (`operator`).

    `url` is where a scanner found it, empty if that is not known or may not be kept.
    """

    key_id: str
    reported_by: str
    url: str
    actor: Actor


class KeyUpdated(NamedTuple):
    """Members of an API key were changed: those that differ, as they were and as they are, each as `in_bounds` has it.

    Who may change a key chooses these texts, and the trail keeps them for as long as the proof is needed.
    """

    key_id: str
    old: dict[str, object]
    new: dict[str, object]
    actor: Actor


class KeyTokensEnded(NamedTuple):
    """The access tokens of an API key that were issued before an epoch second were revoked. Its grants go on."""

    key_id: str
    issued_before: int
    actor: Actor


class KeyDisabled(NamedTuple):
    """An API key is refused until it is enabled again."""

    key_id: str
    actor: Actor


class KeyEnabled(NamedTuple):
    """A disabled API key works again."""

    key_id: str
    actor: Actor


class KeyRotated(NamedTuple):
    """The next secret of an API key was made, the one of that `number`; its first one is 0.

    From its first use on, the one before it goes on for `overlap` seconds. `at_once` says that it did not go on at all,
    and that the key's grants and their access tokens ended.
    """

    key_id: str
    number: int
    overlap: int
    at_once: bool
    actor: Actor


class KeyRotatedUsed(NamedTuple):
    """A secret was used after it had ended: stale configuration, or a thief."""

    key_id: str
    number: int
    actor: Actor


class KeyRevokedUsed(NamedTuple):
    """A key was used after its end, by the secret of that `number`. `reason` is why it ended, as in `KeyRevoked`."""

    key_id: str
    number: int
    reason: str
    actor: Actor


class KeyRawUsedAfterEnd(NamedTuple):
    """An API key came itself after its `raw_until`, in epoch milliseconds."""

    key_id: str
    raw_until: int
    actor: Actor


class KeyExpiring(NamedTuple):
    """An API key expires in so many days, 30, 7 or 1. `expires_at` is epoch milliseconds."""

    key_id: str
    name: str
    days: int
    expires_at: int
    actor: Actor = SERVER


class KeyExpired(NamedTuple):
    """An API key has expired, at `expires_at` in epoch milliseconds. It was not revoked before."""

    key_id: str
    name: str
    expires_at: int
    actor: Actor = SERVER
