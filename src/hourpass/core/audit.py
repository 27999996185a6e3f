"""What the audit trail can say: one type for each event.

Routine successes are metrics; the trail holds what an operator or a security engineer has to be able to prove.
No event ever holds a key, a token or a digest.
"""

from typing import NamedTuple


class KeyCreated(NamedTuple):
    """An API key was made."""

    key_id: str
    name: str
    actor: str


class KeyRevoked(NamedTuple):
    """An API key was revoked; its grants and their access tokens end with it."""

    key_id: str
    actor: str


class GrantRevoked(NamedTuple):
    """A grant was revoked; `why` is an operator's decision or a revoked refresh token."""

    grant_id: str
    key_id: str
    why: str
    actor: str


class RefreshReplayed(NamedTuple):
    """A superseded refresh token came back after its window: the theft signal. The grant was revoked."""

    grant_id: str
    key_id: str
    presented_generation: int
    current_generation: int


class RefreshAhead(NamedTuple):
    """A genuine refresh token came from the future: a restored backup or a lossy failover. Nothing was revoked."""

    grant_id: str
    key_id: str
    presented_generation: int
    current_generation: int


class RefreshRetriedElsewhere(NamedTuple):
    """A retry came from another address than the rotation that it repeats. Nothing was refused.

    A client that moved between the two, or a thief who refreshes shortly after the owner. Told once an hour.
    """

    grant_id: str
    key_id: str
    presented_generation: int
    current_generation: int
    rotated_from: str
    retried_from: str


class GrantsClosed(NamedTuple):
    """A key was at its cap of live grants; the ones of least use can refresh no more."""

    key_id: str
    closed: int


class TokenRevoked(NamedTuple):
    """A single access token was revoked (RFC 7009)."""

    jti: str
    grant_id: str
    key_id: str
    actor: str


class Restored(NamedTuple):
    """The installation was filled from a backup; its grants were ended, and tokens issued before an epoch second."""

    grants_ended: int
    issued_before: int
    actor: str


class SigningKeyPublished(NamedTuple):
    """A signing key entered the JWK Set; the one before it retires at `signs_from`."""

    kid: str
    algorithm: str
    signs_from: int
    actor: str = "server"


class SigningKeyWithdrawn(NamedTuple):
    """A signing key was withdrawn: nothing that it signed counts any more. `stand_in` signs in its place, if it did."""

    kid: str
    stand_in: str | None
    actor: str


Event = (
    KeyCreated
    | KeyRevoked
    | GrantRevoked
    | RefreshReplayed
    | RefreshAhead
    | RefreshRetriedElsewhere
    | GrantsClosed
    | TokenRevoked
    | Restored
    | SigningKeyPublished
    | SigningKeyWithdrawn
)


def event_name(event: Event) -> str:
    """The event's name in the trail: `RefreshReplayed` is `refresh_replayed`."""
    name = type(event).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
