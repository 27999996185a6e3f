"""What the ledger is asked in a batch, and what it answers."""

import msgspec

from hourpass.core.api_key import ApiKey, Proven
from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Decision, Grant, GrantRef
from hourpass.core.revocation import Revocation


class GrantHeld(StorageUnavailable):
    """Another transaction holds the grant at this moment. Nothing was decided, and the next try may find it free."""


class Opening(msgspec.Struct, frozen=True):
    """A grant to open, when its exchange was asked for, in epoch milliseconds, and what proved its key, if known."""

    grant: Grant
    now: int
    proven: Proven | None = None


class Refreshing(msgspec.Struct, frozen=True):
    """A proven refresh token: its grant, generation and tag, the caller's address, and when it was presented.

    `admin` says that it was presented to the admin listener.
    """

    ref: GrantRef
    generation: int
    tag: bytes
    address: str | None
    now: int
    admin: bool = False


class Refreshed(msgspec.Struct, frozen=True):
    """The decision on a refresh token, the key of its grant, and the revocation if a replay caused one."""

    decision: Decision
    key: ApiKey | None
    revocation: Revocation | None


class Opened(msgspec.Struct, frozen=True):
    """The grant is open. `closed` is how many others of its key were closed to make room."""

    key: ApiKey
    closed: int
