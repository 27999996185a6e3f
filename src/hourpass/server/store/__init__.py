"""The Store port, in the words of the use cases. A store keeps and returns; it decides nothing and reads no clock.

A store belongs to one thread at a time: the ledger's. Every method but `begin…`, `look`, `migrate` and `close` runs
inside a transaction. Each may raise `StorageUnavailable`, after which the caller rolls back.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.audit import Event
from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.revocation import Kind, Revocation
from hourpass.core.signing_key import SigningKey
from hourpass.server.store.tables import Table

PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Seconds, at most, before each further attempt at a transaction that met another one."""

T = TypeVar("T")

Row = tuple[Any, ...]


class TransactionConflict(StorageUnavailable):
    """Another transaction was in the way of this one, which is undone; the same again may well succeed."""


class GrantHeld(StorageUnavailable):
    """Another transaction holds the grant at this moment. Nothing was decided, and the next try may find it free."""


class Unreachable(StorageUnavailable):
    """No connection to the database can be made."""


class Control(NamedTuple):
    """What every process polls: `version` of the API and signing keys, `last_revocation` the newest entry's number."""

    version: int
    last_revocation: int


class Numbers(NamedTuple):
    """Where a database's counting is: the keys' version, the last numbers given, and since when without a break.

    `numbered_since` is 0 where the database does not keep it.
    """

    version: int
    last_revocation: int
    last_audit: int
    numbered_since: int


class Moved(NamedTuple):
    """When (epoch milliseconds) an installation was moved, and to which database, by its name."""

    at: int
    target: str


class StoredSigningKey(NamedTuple):
    """A signing key with its private half, sealed under the master key."""

    key: SigningKey
    sealed: bytes


class AuditRecord(NamedTuple):
    """One line of the audit trail; `at` is epoch milliseconds, `detail` the event's members."""

    n: int
    at: int
    event: str
    key_id: str | None
    grant_id: str | None
    detail: dict[str, object]


class KeyUse(NamedTuple):
    """When a key was last used in one way (`exchanged`, `refreshed`, `raw`), and from which packed address."""

    kind: str
    at: int
    address: bytes | None


class Expiry(NamedTuple):
    """What pruning has to know of a grant."""

    ref: GrantRef
    idle_expires_at: int
    expires_at: int
    revoked_at: int | None


class Store(Protocol):
    """What the use cases need of a database."""

    @property
    def name(self) -> str:
        """Its kind and place, for people: `sqlite:PATH` or `postgresql://HOST:PORT/NAME`, without user and password."""

    def begin(self, *, wait: bool) -> bool:
        """Start a transaction that writes; one that waits is the only one of its kind in all processes.

        False where another writer is at it, this one cannot go on beside it, and `wait` is false.
        """

    def begin_reading(self) -> None:
        """Start a transaction that sees one moment, holds up nobody and is held up by nobody."""

    def commit(self) -> None:
        """Make the transaction durable. Only after this may anyone be answered."""

    def rollback(self) -> None:
        """Undo the transaction, if there is one. Never raises."""

    def prove_writable(self) -> None:
        """Write what changes nothing: raises StorageUnavailable if nothing can be written."""

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Open grants."""

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """The grants that exist among these."""

    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """The grants that exist among these, which nobody else changes until the end of this transaction.

        Beside them those that exist and that another transaction holds: it waits for none of them.
        """

    def find_grant(self, grant_id: bytes) -> Grant | None:
        """One grant by its id alone: slow, for an operator who has nothing else."""

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants, each with the generation it was decided on.

        Returns those that somebody changed meanwhile: they are to be read and decided again.
        """

    def revoke_grant(self, grant: Grant) -> bool:
        """Store a grant's end by decision. False where it was revoked already or does not exist."""

    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store several grants' ends; returns those that were neither revoked already nor missing."""

    def count_grants(self, key_id: str) -> int:
        """How many grants of a key are not revoked."""

    def grant_ages(self, key_id: str) -> list[GrantAge]:
        """What decides which grants of a key are closed first."""

    def grants_page(self, after: GrantRef, limit: int) -> list[Grant]:
        """Grants in the order of their keys and ids."""

    def grants_of_key(self, key_id: str, after: bytes, limit: int) -> list[Grant]:
        """A key's grants in the order of their ids."""

    def expiries_page(self, after: GrantRef, limit: int) -> list[Expiry]:
        """What pruning has to know, in the order of the keys and ids."""

    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants; returns how many. One that another transaction holds is left for a later time."""

    def add_key(self, key: ApiKey) -> None:
        """Keep a new API key."""

    def key(self, key_id: str) -> ApiKey | None:
        """One API key."""

    def keys_page(self, after: str, limit: int) -> list[ApiKey]:
        """API keys in the order of their ids."""

    def key_of_digest(self, digest: bytes) -> str | None:
        """The id of the key that has this secret; None if no key has it."""

    def key_of_external_id(self, external_id: str) -> str | None:
        """The id of the key that has this id of the provider's; None if no key has it."""

    def update_key(self, key: ApiKey) -> bool:
        """Change everything that may change of a record: not its id, its secrets or its end.

        False if it is revoked or does not exist.
        """

    def revoke_key(self, key_id: str, at: int, why: str = "revoked") -> bool:
        """End an API key. False if it was revoked already or does not exist."""

    def add_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Give a key a secret, its newest."""

    def save_key_secret(self, secret: KeySecret) -> None:
        """Note when a secret was first used and when it ends."""

    def delete_key_secret(self, digest: bytes) -> None:
        """Take a secret from its key."""

    def key_hashes(self) -> list[str]:
        """The names of the hashes that the digests of imported keys are made of."""

    def add_key_hash(self, name: str, at: int) -> None:
        """Note that keys are imported by this hash. Nothing changes if it is known."""

    def key_uses(self, key_id: str) -> list[KeyUse]:
        """When a key was last used, in each way that it was."""

    def add_revocation(self, kind: Kind, value: str, until: int) -> Revocation:
        """Put an entry into the revocation list; it gets the next number."""

    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Put entries (kind, value, until) into the revocation list, under numbers that follow each other."""

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""

    def prune_revocations(self, now: int) -> None:
        """Forget entries that can refuse nothing any more."""

    def append_audit(self, at: int, events: Sequence[Event]) -> None:
        """Append events of one instant to the audit trail."""

    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events, each with its instant, to the audit trail, under numbers that follow each other."""

    def audit_after(self, n: int, limit: int) -> list[AuditRecord]:
        """The audit trail after a number."""

    def last_audit(self) -> int:
        """The newest number of the audit trail, 0 where it is empty."""

    def control(self) -> Control:
        """What every process polls."""

    def look(self) -> Control:
        """What every process polls, several times a second: one statement, outside of any transaction."""

    def add_secret(self, name: str, kid: str, sealed: bytes, at: int) -> None:
        """Keep a sealed secret."""

    def secrets(self, name: str) -> list[tuple[str, bytes]]:
        """The sealed secrets of a name with their key ids, newest first."""

    def add_signing_key(self, stored: StoredSigningKey) -> None:
        """Keep a signing key."""

    def signing_keys(self) -> list[StoredSigningKey]:
        """All signing keys."""

    def retire_signing_key(self, kid: str, at: int) -> None:
        """Set when a successor takes over."""

    def delete_signing_key(self, kid: str) -> None:
        """Forget a signing key, its private half included."""

    def count_rows(self, table: Table) -> int:
        """How many rows a table has, however long that takes."""

    def rows_page(self, table: Table, after: Row, limit: int) -> list[Row]:
        """A table's rows after a key, in the order of the keys and of the table's columns."""

    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as another store gave them."""

    def numbers(self) -> Numbers:
        """Where the counting is."""

    def go_on_from(self, numbers: Numbers) -> None:
        """Let the counting go on where another store's was."""

    def moved(self) -> Moved | None:
        """Where the installation was moved to; None if it is still here."""

    def mark_moved(self, moved: Moved) -> None:
        """Note where it was moved to."""

    def unmark_moved(self) -> bool:
        """Forget that it was moved. False if it was not."""

    def is_migrated(self) -> bool:
        """Whether `migrate` was ever here."""

    def migrate(self, now: int) -> list[str]:
        """Bring the schema up to date; the names of the migrations that were applied.

        Raises:
            ConfigurationError: if this program is too old for the database, or an applied migration was altered.
        """

    def pending_migrations(self) -> list[str]:
        """The names of the migrations that are still to be applied. Raises as `migrate`."""

    def newer_migrations(self) -> list[str]:
        """The names of a newer program's migrations, with which this one can live. Raises as `migrate`."""

    def cautions(self) -> list[str]:
        """What is known not to work, or was never tried, with this database server: sentences for the operator."""

    def maintain(self) -> None:
        """Work that belongs beside the transactions, such as checkpoints. Runs in a thread of its own."""

    def close(self) -> None:
        """Let go of the database."""


class SharedStore(Store, Protocol):
    """A store over a network, which several servers share."""

    def time(self) -> int:
        """What the database's clock says, in epoch milliseconds: every node compares its own with it."""

    def numbered_since(self) -> int:
        """Since when revocations are numbered without a break, in epoch milliseconds."""

    def take_lease(self, name: str, holder: str, now: int, until: int) -> bool:
        """Take or renew the lease of a name until an instant. False where another holder has it now."""

    def interrupt(self) -> None:
        """Make a statement that waits for a frozen database fail. The one method for another thread to call."""


@contextmanager
def transaction(store: Store) -> Iterator[Store]:
    """One transaction that writes: committed at the end, undone if anything goes wrong."""
    store.begin(wait=True)
    try:
        yield store
        store.commit()
    except BaseException:
        store.rollback()
        raise


def persist(attempt: Callable[[], T], undo: Callable[[], None]) -> T:
    """What an attempt at a transaction returns; where it met another one it is undone and made again, a few times.

    Raises:
        TransactionConflict: where every attempt met another one; and what else the attempt raises. All is undone then.
    """
    for pause in (*PAUSES, None):
        try:
            return attempt()
        except TransactionConflict:
            undo()
            if pause is None:
                raise
            time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
        except BaseException:
            undo()
            raise
    raise AssertionError("the last attempt returns or raises")
