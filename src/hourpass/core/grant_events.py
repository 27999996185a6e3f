"""What the audit trail says about grants and their tokens: one type for each event. None holds a token."""

from typing import NamedTuple

from hourpass.core.actor import SERVER, Actor


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
