"""What the audit trail can say: one type for each event.

Routine successes are counted by metrics. The trail holds what an operator or a security engineer may have to prove.
No event ever holds a key, a token or a digest.
"""

from typing import NamedTuple

LONGEST_VALUE = 1_100
"""Bytes of an old or a new value in a line, as JSON. A longer one is cut. A scope and claims are shorter."""


def in_bounds(value: object, written: bytes) -> object:
    """A value as a line may keep it: itself, or the beginning of its JSON (`written`) with how long it was."""
    if len(written) <= LONGEST_VALUE:
        return value
    return f"{written[:LONGEST_VALUE].decode(errors='ignore')}… (cut, {len(written):,} bytes)"


class Actor(NamedTuple):
    """Who did something: `cli:USER@HOST`, `key:ID`, `client` (a caller over HTTP), `server` (hourpass by itself).

    `address` is the caller's IP address and `request_id` the id of the HTTP request, None if there is none.
    """

    name: str
    address: str | None = None
    request_id: str | None = None


SERVER = Actor("server")
"""What hourpass does by itself."""


class KeyCreated(NamedTuple):
    """An API key was made."""

    key_id: str
    name: str
    actor: Actor


class KeyImported(NamedTuple):
    """An API key that another system had made was imported."""

    key_id: str
    name: str
    actor: Actor


class KeyRevoked(NamedTuple):
    """An API key was revoked. Its grants and their access tokens end with it.

    `reason` is `revoked` (an operator's decision), `exposed` (somebody who had the key ended it) or `leaked` (it was
    among what a scanner found).
    """

    key_id: str
    reason: str
    actor: Actor


class KeyLeaked(NamedTuple):
    """A scanner reported an API key as leaked: `reported_by`, and the `url` where it was found, if that may be kept."""

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
    """A secret was used after it had ended: stale configuration, or a thief. Reported once an hour for a key."""

    key_id: str
    number: int
    actor: Actor


class KeyRawUsedAfterEnd(NamedTuple):
    """An API key came itself after its `raw_until`, in epoch milliseconds. Reported once an hour for a key."""

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


class GrantRevoked(NamedTuple):
    """A grant was revoked. `why` is an operator's decision or a revoked refresh token."""

    grant_id: str
    key_id: str
    why: str
    actor: Actor


class GrantReplayed(NamedTuple):
    """A superseded refresh token came back after its window: the theft signal. The grant was revoked."""

    grant_id: str
    key_id: str
    presented_generation: int
    current_generation: int
    actor: Actor


class RefreshAhead(NamedTuple):
    """A genuine refresh token came from the future: a restored backup or a lossy failover. Nothing was revoked."""

    grant_id: str
    key_id: str
    presented_generation: int
    current_generation: int
    actor: Actor


class RefreshRetriedElsewhere(NamedTuple):
    """A retry came from another address than `rotated_from`, that of the rotation that it repeats. Nothing was refused.

    Either a client moved between the two, or a thief refreshes shortly after the owner. Reported once an hour.
    """

    grant_id: str
    key_id: str
    presented_generation: int
    current_generation: int
    rotated_from: str
    actor: Actor


class GrantsClosed(NamedTuple):
    """A key had more live grants than its cap allows. The least used ones were closed: they cannot refresh any more."""

    key_id: str
    closed: int
    actor: Actor = SERVER


class TokenRevoked(NamedTuple):
    """A single access token was revoked (RFC 7009)."""

    jti: str
    grant_id: str
    key_id: str
    actor: Actor


class TokensRevoked(NamedTuple):
    """Every access token that was issued before `issued_before`, in epoch seconds, was revoked. Grants go on."""

    issued_before: int
    actor: Actor


class Restored(NamedTuple):
    """The installation was filled from a backup.

    All of its grants were ended, and so were all access tokens issued before `issued_before`, in epoch seconds.
    """

    grants_ended: int
    issued_before: int
    actor: Actor


class SigningKeyPublished(NamedTuple):
    """A signing key entered the JWK Set. The one before it retires at `signs_from`, in epoch milliseconds."""

    kid: str
    algorithm: str
    signs_from: int
    actor: Actor = SERVER


class SigningKeyWithdrawn(NamedTuple):
    """A signing key was withdrawn: every token that it signed is refused from now on.

    `stand_in` is the key that takes its place, None if the withdrawn key was already retired.
    """

    kid: str
    stand_in: str | None
    actor: Actor


class MasterKeyRotated(NamedTuple):
    """Everything that is sealed was sealed again, by another master key. They are named by their ids.

    `values` is how many values were sealed. Nodes may need the old key until all of them have the new one.
    """

    master_key: str
    before: str
    values: int
    actor: Actor


class SecretRotated(NamedTuple):
    """A new secret of the server was made: `refresh`, `pepper`, `rotation`, `trail`. It is used from an instant on."""

    kind: str
    kid: str
    used_from: int
    actor: Actor


class SecretRetired(NamedTuple):
    """A secret of the server was deleted. Nothing that it made is good any more.

    With `issued_before`, in epoch seconds, all grants ended with it, and all access tokens issued before that.
    """

    kind: str
    kid: str
    issued_before: int | None
    actor: Actor


class ConsoleSignedIn(NamedTuple):
    """Somebody signed in to the console: `by` a one-time `link` or an admin `key`. The actor is who."""

    by: str
    actor: Actor


class ConsoleRefused(NamedTuple):
    """Attempts to sign in to the console failed: so many since the line before this one, all addresses together.

    `by` and the address are those of the last one: a `link`, or a `key`.
    """

    by: str
    times: int
    actor: Actor


class ConsoleSignedOut(NamedTuple):
    """Somebody signed out of the console, in one browser or everywhere, which ended so many sign-ins."""

    ended: int
    actor: Actor


class Folded(NamedTuple):
    """What a client repeated: `times` events of one name were not written, each by itself, since an epoch millisecond.

    `of` is the name of these events. `key_id` is None if they have none.
    """

    key_id: str | None
    of: str
    times: int
    since: int
    actor: Actor = SERVER


class StorageTrouble(NamedTuple):
    """The database did not take writes. Written when it took them again, with the time at which a node noticed."""

    actor: Actor = SERVER


class StorageRecovered(NamedTuple):
    """The database takes writes again, after trouble that a node noticed at `began`, in epoch milliseconds."""

    began: int
    actor: Actor = SERVER


class WebhookCreated(NamedTuple):
    """A webhook was made. `url` is only the origin of its URL, because the rest may be a secret of the receiver."""

    webhook_id: str
    url: str
    actor: Actor


class WebhookUpdated(NamedTuple):
    """Members of a webhook were changed: those that differ, as they were and as they are. URLs are only origins."""

    webhook_id: str
    old: dict[str, object]
    new: dict[str, object]
    actor: Actor


class WebhookRotated(NamedTuple):
    """The next signing secret of a webhook was made. The one before it signs along until an epoch millisecond."""

    webhook_id: str
    signs_until: int
    actor: Actor


class WebhookDisabled(NamedTuple):
    """A webhook gets no events any more.

    `why` is an operator's decision (`operator`), an endpoint that failed for three days (`failing`), or one that
    answered with 410 (`gone`).
    """

    webhook_id: str
    url: str
    why: str
    actor: Actor


class WebhookEnabled(NamedTuple):
    """A disabled webhook gets events again, those of the meantime first."""

    webhook_id: str
    actor: Actor


class WebhookDeleted(NamedTuple):
    """A webhook was deleted."""

    webhook_id: str
    url: str
    actor: Actor


Event = (
    KeyCreated
    | KeyImported
    | KeyRevoked
    | KeyRotated
    | KeyRotatedUsed
    | KeyRawUsedAfterEnd
    | KeyExpiring
    | KeyExpired
    | KeyLeaked
    | KeyUpdated
    | KeyTokensEnded
    | KeyDisabled
    | KeyEnabled
    | GrantRevoked
    | GrantReplayed
    | RefreshAhead
    | RefreshRetriedElsewhere
    | GrantsClosed
    | TokenRevoked
    | TokensRevoked
    | Restored
    | SigningKeyPublished
    | SigningKeyWithdrawn
    | MasterKeyRotated
    | SecretRotated
    | SecretRetired
    | ConsoleSignedIn
    | ConsoleRefused
    | ConsoleSignedOut
    | Folded
    | StorageTrouble
    | StorageRecovered
    | WebhookCreated
    | WebhookUpdated
    | WebhookRotated
    | WebhookDisabled
    | WebhookEnabled
    | WebhookDeleted
)
