"""The Store port, in the words of the use cases. A store keeps and returns rows. It decides nothing and reads no clock.

A store belongs to one thread at a time: the ledger's. Every method but `begin…`, `look`, `migrate` and `close` runs
inside a transaction. Each may raise `StorageUnavailable`, and then the caller rolls back. Instants are epoch
milliseconds.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

from hourpass.core.api_key import ApiKey, KeySecret, UseKind
from hourpass.core.attention import KeyNumbers, RawNumbers
from hourpass.core.audit import Event
from hourpass.core.audit_chain import Ends, Line
from hourpass.core.audit_filter import AuditFilter
from hourpass.core.audit_folding import Admitted
from hourpass.core.errors import StorageUnavailable
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.key_expiry import KeyExpiry
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUse
from hourpass.core.revocation import Kind, Revocation
from hourpass.core.sign_in import OneTimeLink, SignIn
from hourpass.core.signing_key import SigningKey
from hourpass.core.stats import Stats
from hourpass.core.webhook import Result, Webhook
from hourpass.server.store.tables import Table

PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The longest pause, in seconds, before each further attempt at a transaction that conflicted with another one."""

ENDLESS = 2**62
"""An instant that never comes, or as many milliseconds."""

FIRST_GRANT, LAST_GRANT = GrantRef("", b""), GrantRef("~", b"")
"""What sorts before and after every grant: the ids of keys have only letters and digits."""

T = TypeVar("T")

Row = tuple[Any, ...]


class TransactionConflict(StorageUnavailable):
    """This transaction conflicted with another one and is undone. The same transaction may succeed if tried again."""


class GrantHeld(StorageUnavailable):
    """Another transaction holds the grant at this moment. Nothing was decided, and the next try may find it free."""


class DiskFull(StorageUnavailable):
    """The database has no space left to write."""


class Unreachable(StorageUnavailable):
    """The database cannot be connected to."""


class Control(NamedTuple):
    """What every process polls.

    `version` changes with every change to API keys, signing keys and secrets. `last_revocation` is the number of the
    newest entry in the revocation list, `last_audit` that of the newest line of the audit trail.
    """

    version: int
    last_revocation: int
    last_audit: int


class Numbers(NamedTuple):
    """The counters of a database: the version of the keys, and the last numbers given to revocations and audit lines.

    `numbered_since` is when the numbering of revocations began without a break, 0 if the database does not keep it.
    """

    version: int
    last_revocation: int
    last_audit: int
    numbered_since: int


class Moved(NamedTuple):
    """When (epoch milliseconds) an installation was moved, and the name of the database that it was moved to."""

    at: int
    target: str


class SlowHash(NamedTuple):
    """A slow or salted hash of an imported key; `lookup` is how the key's text begins. The repr shows neither.

    After the key was used, `algorithm` is `used`, and `hash` is what stood for the slow one among the digests, in hex.
    """

    lookup: str
    key_id: str
    algorithm: str
    hash: str
    created_at: int

    def __repr__(self) -> str:
        """Without the hash."""
        return f"SlowHash({self.key_id!r})"


class StoredSecret(NamedTuple):
    """A secret of the server, sealed. `sealed_by` is the id of the master key that did it, None if it was not noted."""

    name: str
    kid: str
    sealed: bytes
    created_at: int
    sealed_by: str | None = None


class StoredSigningKey(NamedTuple):
    """A signing key with its private half, sealed under the master key of this id, as in `StoredSecret`."""

    key: SigningKey
    sealed: bytes
    sealed_by: str | None = None


class AuditRecord(NamedTuple):
    """One line of the audit trail. `at` is epoch milliseconds, `detail` holds the other members of the event.

    `actor` is None only if a program of before did not note one.
    """

    n: int
    at: int
    event: str
    actor: str | None
    address: str | None
    request_id: str | None
    key_id: str | None
    grant_id: str | None
    detail: dict[str, object]


class Sieve(Protocol):
    """Says which lines of the audit trail a process writes, so that no client fills it."""

    def sift(self, lines: Sequence[tuple[int, Event]]) -> tuple[list[tuple[int, Event]], list[Admitted]]:
        """The lines to write, and what was decided about them."""

    def take_back(self, admitted: Sequence[Admitted]) -> None:
        """The transaction of these lines failed."""


class KeyUse(NamedTuple):
    """When a key was last used in one way; `at` is epoch milliseconds, the address 4 or 16 bytes."""

    key_id: str
    kind: UseKind
    at: int
    address: bytes | None


class GrantSearch(NamedTuple):
    """Which grants to look for: those of one key or of all, in a state as `state_of` names it or in any.

    `distance` is how many grants to look at, at most.
    """

    now: int
    distance: int
    state: str | None = None
    key_id: str | None = None


GRANTS_IN_USE = "grants in use"
"""Under this name is how many grants could refresh when they were walked over last."""


class Measured(NamedTuple):
    """What takes long to count, as it was at an instant in epoch milliseconds."""

    value: int
    at: int


class WebhookDelivery(NamedTuple):
    """How an attempt to deliver an event went; `at` is epoch milliseconds, `took` milliseconds.

    `number` is that of the event, 0 of a test. `status` is None if there was no answer.
    """

    webhook_id: str
    at: int
    number: int
    event: str
    result: Result
    status: int | None
    took: int


class WebhookProgress(NamedTuple):
    """How far a webhook of this revision is: the number up to which it has everything, and since when it fails."""

    webhook_id: str
    revision: int
    delivered: int
    failing_since: int | None


class IdempotentCall(NamedTuple):
    """A call that came with an Idempotency-Key, and its answer once there is one. The repr does not show the answer.

    `digest` names the caller and the key. `fingerprint` is that of what was asked. `seed` is what the call's random
    bytes are derived from. After `until` (epoch milliseconds) it is forgotten. `headers` is JSON. The new secret that
    the body had at `secret_at` is cut out of it, and `secret_digest` tells whether it was derived again rightly.
    """

    digest: bytes
    fingerprint: bytes
    seed: bytes
    until: int
    status: int | None = None
    headers: str | None = None
    body: bytes | None = None
    secret_at: int | None = None
    secret_digest: bytes | None = None

    def __repr__(self) -> str:
        """Without what was asked and answered."""
        return f"IdempotentCall(status={self.status})"


class Expiry(NamedTuple):
    """What pruning must know about a grant."""

    ref: GrantRef
    idle_expires_at: int
    expires_at: int
    revoked_at: int | None


class Store(Protocol):
    """What the use cases need from a database. With a `sieve`, not every line of the trail is written."""

    sieve: Sieve | None

    @property
    def name(self) -> str:
        """Its kind and place, for people: `sqlite:PATH` or `postgresql://HOST:PORT/NAME`, never user or password."""

    def begin(self, *, wait: bool) -> bool:
        """Start a transaction that writes. Of those that wait, only one runs at a time, over all processes.

        False if `wait` is false and another writer is at work that this one cannot run beside.
        """

    def begin_reading(self) -> None:
        """Start a transaction that reads one moment of the database. It never waits, and nobody waits for it."""

    def commit(self) -> None:
        """Make the transaction durable. Only after this may a caller get an answer."""

    def rollback(self) -> None:
        """Undo the transaction, if there is one. Never raises."""

    def prove_writable(self) -> None:
        """Write without changing anything.

        Raises:
            StorageUnavailable: if nothing can be written.
        """

    def prove_room(self) -> None:
        """Write as much as a few clients do, and take it back in the same transaction.

        Raises:
            DiskFull, StorageUnavailable: if it cannot be written.
        """

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Store new grants."""

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """Those of these grants that exist."""

    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """Read grants and lock them: nobody else changes them until the end of this transaction.

        Returns those that exist and are locked now, and the references of those that another transaction holds. It
        never waits for one.
        """

    def find_grant(self, grant_id: bytes) -> Grant | None:
        """One grant by its id alone. It is slow, and meant for an operator who knows nothing else."""

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants, each with the generation it was decided on.

        Returns those that another transaction changed meanwhile. The caller must read and decide them again.
        """

    def revoke_grant(self, grant: Grant) -> bool:
        """Store that a grant is revoked. False if it was revoked before or does not exist."""

    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store that grants are revoked. Returns those that exist and were not revoked before."""

    def count_grants(self, key_id: str) -> int:
        """How many grants of a key are not revoked."""

    def count_live_grants(self, now: int, opened_before: int = ENDLESS) -> int:
        """How many grants of all keys are neither revoked nor expired. It reads all of them."""

    def count_grants_in_use(self, now: int, after: GrantRef = FIRST_GRANT, until: GrantRef = LAST_GRANT) -> int:
        """How many grants can refresh: of all keys, or of those behind `after` up to `until`. It reads each of them."""

    def grant_ages(self, key_id: str) -> list[GrantAge]:
        """What decides which grants of a key are closed first."""

    def grants_page(self, after: GrantRef, limit: int) -> list[Grant]:
        """Grants in the order of their keys and ids."""

    def grants_of_key(self, key_id: str, after: bytes, limit: int) -> list[Grant]:
        """A key's grants in the order of their ids."""

    def find_grants(self, wanted: GrantSearch, after: GrantRef, limit: int) -> list[Grant]:
        """Grants after one that a search may want, in the order of their keys and ids, as far as it looks.

        It returns all in the state that it looks for, and may return others. The caller decides about each.
        """

    def grant_after(self, after: GrantRef, distance: int) -> GrantRef | None:
        """The grant that is so many after one, None if there are fewer."""

    def expiries_page(self, after: GrantRef, limit: int) -> list[Expiry]:
        """What pruning must know, in the order of the keys and ids."""

    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants. Returns how many. One that another transaction holds is left for a later time."""

    def add_key(self, key: ApiKey) -> None:
        """Store a new API key."""

    def add_keys(self, keys: Sequence[ApiKey]) -> None:
        """Keep many new API keys."""

    def key(self, key_id: str) -> ApiKey | None:
        """One API key."""

    def keys_of_ids(self, key_ids: Sequence[str]) -> dict[str, ApiKey]:
        """The API keys that exist among these, by their ids."""

    def keys_page(self, after: str, limit: int) -> list[ApiKey]:
        """API keys in the order of their ids."""

    def find_keys(self, wanted: KeyFilter, now: int, after: str, limit: int) -> list[str]:
        """The ids after one, in order, of the keys that the filter may take. It takes none of the others.

        Those with letters beyond ASCII are among them, whatever text is wanted. The caller asks the filter about each.
        """

    def key_numbers(self, now: int) -> KeyNumbers:
        """How many keys are in each state. It reads all of them."""

    def raw_numbers(self, now: int) -> RawNumbers:
        """How many keys were sent themselves lately."""

    def key_of_digest(self, digest: bytes) -> str | None:
        """The id of the key that has this secret, None if no key has it."""

    def keys_of_digests(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Of many secrets, the ids of the keys that have them."""

    def keys_of_external_ids(self, external_ids: Sequence[str]) -> dict[str, str]:
        """Of many ids of the provider's, the ids of the keys that have them."""

    def key_of_external_id(self, external_id: str) -> str | None:
        """The id of the key that has this id of the provider's, None if no key has it."""

    def update_key(self, key: ApiKey) -> bool:
        """Change everything that may change of a record: not its id, its secrets or its end.

        False if it is revoked or does not exist.
        """

    def update_keys(self, keys: Sequence[ApiKey]) -> None:
        """The same for many keys. What is revoked or does not exist is passed over."""

    def revoke_key(self, key_id: str, at: int, why: str = "revoked") -> bool:
        """Revoke an API key. False if it was revoked already or does not exist."""

    def add_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Give a key a secret, its newest."""

    def save_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Note when a secret of a key was first used and when it ends."""

    def show_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Let programs that know one secret for each key know this one."""

    def delete_key_secret(self, digest: bytes) -> None:
        """Take a secret from its key."""

    def move_digest(self, key_id: str, old: bytes, secret: KeySecret) -> None:
        """Put a secret in the place of the one with the old digest. No other process is told."""

    def key_hashes(self) -> list[str]:
        """The names of the hashes that the digests of imported keys are made of."""

    def add_key_hash(self, name: str, at: int) -> None:
        """Note that keys are imported by this hash. Nothing changes if it is known."""

    def note_leak(self, digest: bytes, key_id: str, at: int) -> bool:
        """Note that a secret was reported as leaked. False if that is known."""

    def keep_uses(self, uses: Sequence[KeyUse]) -> None:
        """Note when keys were last used, each unless a later use is known. No other process is told."""

    def last_uses(self, first: str, last: str) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of the keys between two ids, both included; a key that was never used is missing."""

    def uses_of_keys(self, key_ids: Sequence[str]) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of these keys; a key that was never used is missing."""

    def slow_hashes(self, lookup: str) -> list[SlowHash]:
        """The slow hashes of the keys that begin like this."""

    def add_slow_hashes(self, hashes: Sequence[SlowHash]) -> None:
        """Keep slow hashes of new keys."""

    def use_slow_hash(self, used: SlowHash) -> None:
        """Forget a slow hash, because its key was used: `used` takes its place."""

    def add_revocation(self, kind: Kind, value: str, until: int) -> Revocation:
        """Add an entry to the revocation list. It gets the next number."""

    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Add entries (kind, value, until) to the revocation list, with consecutive numbers."""

    def end_tokens_of_key(self, key_id: str, issued_before: int, until: int) -> Revocation:
        """Put an entry into the revocation list that refuses a key's tokens from before an epoch second."""

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""

    def prune_revocations(self, now: int) -> None:
        """Delete the entries whose tokens have all expired."""

    def append_audit(self, at: int, events: Sequence[Event]) -> None:
        """Append events to the audit trail, all with the same instant."""

    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant, with consecutive numbers."""

    def audit_after(self, n: int, limit: int) -> list[AuditRecord]:
        """The audit trail after a number."""

    def newest_audit(self, wanted: AuditFilter, limit: int, before: int = ENDLESS, above: int = 0) -> list[AuditRecord]:
        """The newest lines of the audit trail between two numbers that are wanted, oldest first.

        For instants it finds by the numbers where to look, which are in the order of time up to a day.
        """

    def audit_of_grant(self, grant_id: str, limit: int) -> list[AuditRecord]:
        """The newest lines about a grant (its id in hex), oldest first."""

    def count_audit(self, event: str, since: int) -> int:
        """How many lines tell of an event since an instant.

        It finds where to begin by the numbers, which are in the order of time up to `CLOCKS_APART`.
        """

    def last_audit(self) -> int:
        """The newest number of the audit trail, 0 if it is empty."""

    def add_webhook(self, webhook: Webhook) -> None:
        """Store a new webhook."""

    def webhooks(self) -> list[Webhook]:
        """All webhooks, oldest first."""

    def webhook(self, webhook_id: str) -> Webhook | None:
        """One webhook."""

    def update_webhook(self, webhook: Webhook) -> None:
        """Change everything that may change of a webhook, except how far it is. Its revision grows."""

    def save_progress(self, progress: WebhookProgress) -> None:
        """Note how far a webhook is. It never goes back. Of another revision nothing else is noted."""

    def delete_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook and what is known of its deliveries. False if it does not exist."""

    def add_deliveries(self, deliveries: Sequence[WebhookDelivery]) -> None:
        """Note how attempts went."""

    def deliveries(self, webhook_id: str, since: int, limit: int) -> list[WebhookDelivery]:
        """How the newest attempts of a webhook went since an instant, newest first."""

    def prune_deliveries(self, webhook_id: str, before: int, keep: int) -> None:
        """Forget a webhook's attempts before an instant, and all but about `keep` of the newest ones."""

    def audit_lines(self, first: int, limit: int) -> list[Line]:
        """The rows of the audit trail from a number on, with all the columns that the table has, known or not."""

    def set_audit_macs(self, macs: Sequence[tuple[int, bytes]], at: int) -> None:
        """Chain rows of the audit trail: keep the MACs of these numbers, and when they were made."""

    def first_audit(self) -> int | None:
        """The number of the oldest row of the audit trail, None if it is empty."""

    def delete_audit_to(self, n: int) -> int:
        """Prune the audit trail up to a number. Returns how many rows that were."""

    def audit_ends(self) -> Ends | None:
        """Where the chain of the audit trail begins and ends, None if it did not begin."""

    def save_audit_ends(self, ends: Ends) -> None:
        """Note where the chain of the audit trail begins and ends."""

    def control(self) -> Control:
        """What every process polls."""

    def look(self) -> Control:
        """What every process polls, several times a second. It is one statement outside of any transaction."""

    def add_secret(self, name: str, kid: str, sealed: bytes, at: int, sealed_by: str | None = None) -> None:
        """Store a sealed secret."""

    def secrets(self, name: str) -> list[tuple[str, bytes]]:
        """The sealed secrets of a name with their key ids, newest first."""

    def sealed_secrets(self) -> list[StoredSecret]:
        """All sealed secrets, those of a name newest first."""

    def seal_secret(self, old: StoredSecret, new: StoredSecret) -> bool:
        """Put another sealing of a secret in the place of one. False if that is not there any more."""

    def delete_secret(self, name: str, kid: str) -> None:
        """Forget a secret."""

    def add_signing_key(self, stored: StoredSigningKey) -> None:
        """Store a signing key."""

    def signing_keys(self) -> list[StoredSigningKey]:
        """All signing keys."""

    def seal_signing_key(self, old: StoredSigningKey, new: StoredSigningKey) -> bool:
        """Put another sealing of a signing key in the place of one. False if that is not there any more."""

    def retire_signing_key(self, kid: str, at: int) -> None:
        """Set the instant at which a successor takes over."""

    def delete_signing_key(self, kid: str) -> None:
        """Delete a signing key with its private half."""

    def add_stats(self, node: str, rows: Sequence[tuple[int, Stats]]) -> None:
        """Add to what happened on a node in each epoch minute."""

    def stats_since(self, minute: int, width: int) -> dict[int, Stats]:
        """What happened on all nodes since an epoch minute, added up to multiples of `width` minutes.

        By the minute at which each begins. Those in which nothing happened are missing.
        """

    def prune_stats(self, minute: int) -> None:
        """Delete what happened before an epoch minute."""

    def told_expiries(self, days: int) -> KeyExpiry | None:
        """Up to which key's end the notices of so many days are in the audit trail, None if none was ever due."""

    def note_told_expiries(self, days: int, until: KeyExpiry) -> None:
        """Note that the notices of so many days are in the audit trail up to this one."""

    def expiring_keys(self, after: KeyExpiry, until: int, limit: int) -> list[tuple[KeyExpiry, str]]:
        """The keys that end after one and not after an instant, with their names, in order. None that is revoked."""

    def note_measured(self, name: str, measured: Measured) -> None:
        """Keep what took long to count."""

    def measured(self, name: str) -> Measured | None:
        """What was counted last under a name."""

    def idempotent_call(self, digest: bytes) -> IdempotentCall | None:
        """A call that was reserved or answered, also after its end."""

    def reserve_call(self, call: IdempotentCall) -> None:
        """Reserve a call, in the place of one with the same digest."""

    def answer_call(self, call: IdempotentCall) -> bool:
        """Keep the answer of a reserved call. False if the reservation of this seed is not there any more."""

    def release_call(self, call: IdempotentCall) -> None:
        """Forget a reservation. One that was answered, or taken over by another seed, stays."""

    def prune_calls(self, now: int, limit: int) -> int:
        """Forget at most so many calls that are over. Returns how many."""

    def count_rows(self, table: Table) -> int:
        """How many rows a table has, however long it takes to count them."""

    def rows_page(self, table: Table, after: Row, limit: int) -> list[Row]:
        """A table's rows after a primary key, in the order of the keys, with the columns in the table's order."""

    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as the `rows_page` of another store returned them."""

    def add_one_time_link(self, link: OneTimeLink) -> None:
        """Keep a link that signs in to the console."""

    def take_one_time_link(self, id_hash: bytes) -> OneTimeLink | None:
        """A link, which is gone then: of several that ask for it, one gets it. None if there is none."""

    def add_sign_in(self, one: SignIn) -> None:
        """Keep that somebody signed in to the console."""

    def sign_in(self, id_hash: bytes) -> SignIn | None:
        """Who is signed in with this id. None if nobody is."""

    def sign_ins_of(self, who: str) -> list[SignIn]:
        """All sign-ins of one person, newest first."""

    def note_seen(self, id_hash: bytes, at: int) -> None:
        """Note that a sign-in was used."""

    def end_sign_in(self, id_hash: bytes) -> None:
        """Forget a sign-in."""

    def end_sign_ins_of(self, who: str) -> int:
        """Forget all sign-ins of one person. Returns how many."""

    def prune_sign_ins(self, started: int, seen: int, made: int) -> None:
        """Forget sign-ins that started or were last used until these instants, and links made until the third."""

    def numbers(self) -> Numbers:
        """The counters of this database."""

    def go_on_from(self, numbers: Numbers) -> None:
        """Set the counters to those of another database."""

    def moved(self) -> Moved | None:
        """Where the installation was moved to, None if it is still here."""

    def mark_moved(self, moved: Moved) -> None:
        """Note where the installation was moved to."""

    def unmark_moved(self) -> bool:
        """Forget that the installation was moved. False if it was not."""

    def is_migrated(self) -> bool:
        """Whether `migrate` ever ran on this database."""

    def migrate(self, now: int) -> list[str]:
        """Bring the schema up to date. Returns the names of the migrations that were applied.

        Raises:
            ConfigurationError: if this program is too old for the database, or an applied migration was altered.
        """

    def pending_migrations(self) -> list[str]:
        """The names of the migrations that `migrate` would apply. Raises what `migrate` raises."""

    def need_program(self, number: int) -> None:
        """Note that no older program can live with the migration of this number any more."""

    def older_programs(self, number: int) -> int:
        """How many connections programs have that do not know the migration of this number, as far as that shows."""

    def newer_migrations(self) -> list[str]:
        """The names of a newer program's migrations that this program can work with. Raises what `migrate` raises."""

    def cautions(self) -> list[str]:
        """Warnings for the operator about this database server: what does not work with it, or was never tested."""

    def maintain(self) -> None:
        """Work to do beside the transactions, such as checkpoints. Runs in a thread of its own."""

    def close(self) -> None:
        """Close the database."""


class SharedStore(Store, Protocol):
    """A store over a network, which several servers share."""

    def time(self) -> int:
        """The database's clock, in epoch milliseconds. Every node compares its own clock with it."""

    def numbered_since(self) -> int:
        """When the numbering of revocations began without a break, in epoch milliseconds."""

    def take_lease(self, name: str, holder: str, now: int, until: int) -> bool:
        """Take or renew the lease of a name until an instant. False if another holder has it now."""

    def interrupt(self) -> None:
        """Make a statement fail that waits for a frozen database. Only this method may be called by another thread."""


@contextmanager
def transaction(store: Store) -> Iterator[Store]:
    """One transaction that writes. It is committed at the end, or undone if anything goes wrong."""
    store.begin(wait=True)
    try:
        yield store
        store.commit()
    except BaseException:
        store.rollback()
        raise


@contextmanager
def reading(store: Store) -> Iterator[Store]:
    """One transaction that reads one moment of the database. No writer waits for it."""
    store.begin_reading()
    try:
        yield store
        store.commit()
    except BaseException:
        store.rollback()
        raise


def persist(attempt: Callable[[], T], undo: Callable[[], None]) -> T:
    """Attempt a transaction, and return its result. After a conflict it is undone and attempted again, a few times.

    Raises:
        TransactionConflict: if every attempt conflicted with another transaction.
        Exception: any other error of the attempt. The transaction is undone then, too.
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
