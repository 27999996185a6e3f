"""What both stores do in the same way: named statements with the same parameters and rows in every dialect."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from hourpass.core.address import unpack_address
from hourpass.core.api_key import ApiKey, KeySecret, UseKind
from hourpass.core.attention import EXPIRES_SOON, KeyNumbers, RawNumbers
from hourpass.core.audit import Event
from hourpass.core.audit_chain import Ends, Line
from hourpass.core.audit_filter import FOREVER, AuditFilter
from hourpass.core.audit_folding import Admitted
from hourpass.core.event_names import name_before, name_now
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.key_expiry import KeyExpiry
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUse
from hourpass.core.policy import DAY, MINUTE
from hourpass.core.revocation import Kind, Revocation
from hourpass.core.sign_in import OneTimeLink, SignIn
from hourpass.core.signing_key import SigningKey
from hourpass.core.stats import Stats
from hourpass.core.webhook import Webhook
from hourpass.server.store import (
    ENDLESS,
    FIRST_GRANT,
    LAST_GRANT,
    AuditRecord,
    Control,
    Expiry,
    GrantSearch,
    IdempotentCall,
    Measured,
    Moved,
    Numbers,
    Row,
    Sieve,
    SlowHash,
    StoredSecret,
    StoredSigningKey,
    WebhookDelivery,
    WebhookProgress,
)
from hourpass.server.store.rows import (
    EDITABLE_OF_WEBHOOK,
    editable_row,
    key_row,
    key_search,
    read_audit,
    read_grant,
    read_key,
    read_webhook,
    table_row,
    webhook_row,
)
from hourpass.server.store.statements import Compared, Migration, checksum
from hourpass.server.store.tables import API_KEYS, KEY_SECRETS, SLOW_HASHES, Table

ROOM = 100
"""How many rows show that there is room: they take more than a page of 8 KiB."""

CLOCKS_APART = 5 * MINUTE
"""Milliseconds by which a line of the audit trail may be older than one with a lower number: nodes have clocks."""

SURELY_APART = DAY
"""The same where no line may be missed. What is older by its number is not looked at for an instant."""

NewRevocation = tuple[Kind, str, int, int | None]
"""An entry of the revocation list before it has its number."""


class BaseStore(ABC):
    """The part of a store that is the same for every dialect. The port in `store/__init__.py` describes each method."""

    sieve: Sieve | None = None
    _sifted: tuple[Admitted, ...] = ()

    @abstractmethod
    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Store new grants."""

    @abstractmethod
    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants."""

    @abstractmethod
    def _rows(self, name: str, *parameters: Any) -> list[Row]:
        """The rows of a named query. Raises StorageUnavailable."""

    @abstractmethod
    def _rows_named(self, name: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a query whose parameters have names. Raises StorageUnavailable."""

    @abstractmethod
    def _run(self, name: str, *parameters: Any) -> int:
        """How many rows a named statement changed. Raises StorageUnavailable."""

    @abstractmethod
    def _run_many(self, name: str, rows: Sequence[Row]) -> None:
        """Run a named statement once for each row of parameters. Raises StorageUnavailable."""

    @abstractmethod
    def _run_script(self, sql: str) -> None:
        """Run the statements of a migration. Raises StorageUnavailable."""

    @abstractmethod
    def _compare(self) -> Compared:
        """Compare the database's schema with this program's. Raises ConfigurationError and StorageUnavailable."""

    def _change_keys(self, name: str, *parameters: Any) -> bool:
        """Change API keys, signing keys or secrets, and tell the other processes. False if no row was changed."""
        changed = self._run(name, *parameters) > 0
        if changed:
            self._run("bump_control")
        return changed

    def cautions(self) -> list[str]:
        """No warnings, unless a dialect has some."""
        return []

    def prove_writable(self) -> None:
        """Write without changing anything."""
        self._rows("prove_writable")

    def prove_room(self) -> None:
        """Write as much as a few clients do, and take it back in the same transaction: more than a page, in any state.

        An update may fit into the pages that are there, also on a full disk.
        """
        grants = [Grant(number.to_bytes(16), "", 0, bytes(16), (), None, 0, 0, 0) for number in range(ROOM)]
        self.add_grants(grants)
        self.delete_grants([grant.ref for grant in grants])

    def find_grant(self, grant_id: bytes) -> Grant | None:
        """One grant by its id alone. It reads all of them."""
        rows = self._rows("find_grant", grant_id)
        return read_grant(rows[0]) if rows else None

    def count_grants(self, key_id: str) -> int:
        """How many grants of a key are not revoked."""
        return int(self._rows("count_grants", key_id)[0][0])

    def count_live_grants(self, now: int, opened_before: int = ENDLESS) -> int:
        """How many grants of all keys are neither revoked nor expired."""
        return int(self._rows("count_live_grants", now, now, opened_before)[0][0])

    def count_grants_in_use(self, now: int, after: GrantRef = FIRST_GRANT, until: GrantRef = LAST_GRANT) -> int:
        """How many grants can refresh."""
        return int(self._rows("count_grants_in_use", *after, *until, now, now, now)[0][0])

    def grant_ages(self, key_id: str) -> list[GrantAge]:
        """What decides which grants of a key are closed first."""
        return [GrantAge._make(row) for row in self._rows("grant_ages", key_id)]

    def grants_page(self, after: GrantRef, limit: int) -> list[Grant]:
        """Grants in the order of their keys and ids."""
        return [read_grant(row) for row in self._rows("grants_page", *after, limit)]

    def grants_of_key(self, key_id: str, after: bytes, limit: int) -> list[Grant]:
        """A key's grants in the order of their ids."""
        return [read_grant(row) for row in self._rows("grants_of_key", key_id, after, limit)]

    def find_grants(self, wanted: GrantSearch, after: GrantRef, limit: int) -> list[Grant]:
        """Grants that a search may want."""
        last = LAST_GRANT.key_id if wanted.key_id is None else wanted.key_id
        bounds = {"after_key": after.key_id, "after_id": after.grant_id, "last_key": last, "limit": limit}
        return [read_grant(row) for row in self._rows_named("find_grants", {**wanted._asdict(), **bounds})]

    def grant_after(self, after: GrantRef, distance: int) -> GrantRef | None:
        """The grant that is so many after one."""
        rows = self._rows("grant_after", *after, distance - 1)
        return GrantRef._make(rows[0]) if rows else None

    def expiries_page(self, after: GrantRef, limit: int) -> list[Expiry]:
        """What pruning must know."""
        rows = self._rows("expiries_page", *after, limit)
        return [
            Expiry(GrantRef(key_id, grant_id), idle_expires_at, expires_at, revoked_at)
            for key_id, grant_id, idle_expires_at, expires_at, revoked_at in rows
        ]

    def add_key(self, key: ApiKey) -> None:
        """Store a new API key."""
        self._change_keys("add_key", *key_row(key))
        for secret in key.secrets:
            self._run("add_key_secret", key.key_id, *secret)

    def add_keys(self, keys: Sequence[ApiKey]) -> None:
        """Keep many new API keys."""
        if keys:
            self.add_rows(API_KEYS, [table_row(API_KEYS, key) for key in keys])
            secrets = [(secret.digest, key.key_id, *secret[1:]) for key in keys for secret in key.secrets]
            self.add_rows(KEY_SECRETS, secrets)
            self._run("bump_control")

    @abstractmethod
    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as another store gave them."""

    @abstractmethod
    def keys_of_ids(self, key_ids: Sequence[str]) -> dict[str, ApiKey]:
        """The API keys that exist among these."""

    @abstractmethod
    def keys_of_digests(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Of many secrets, whose they are."""

    @abstractmethod
    def keys_of_external_ids(self, external_ids: Sequence[str]) -> dict[str, str]:
        """Of many ids of the provider's, whose they are."""

    def key(self, key_id: str) -> ApiKey | None:
        """One API key."""
        rows = self._rows("key", key_id)
        if not rows:
            return None
        return read_key(rows[0], [KeySecret._make(row) for row in self._rows("key_secrets", key_id)])

    def keys_page(self, after: str, limit: int) -> list[ApiKey]:
        """API keys in the order of their ids."""
        rows = self._rows("keys_page", after, limit)
        secrets: dict[str, list[KeySecret]] = {row[0]: [] for row in rows}
        for key_id, *secret in self._rows("key_secrets_page", rows[0][0], rows[-1][0]) if rows else ():
            # One that came between the two statements belongs to the next page, or to nobody yet.
            secrets.setdefault(key_id, []).append(KeySecret._make(secret))
        return [read_key(row, secrets[row[0]]) for row in rows]

    def find_keys(self, wanted: KeyFilter, now: int, after: str, limit: int) -> list[str]:
        """The ids of the keys that the filter may take."""
        rows = self._rows_named("find_keys", {**key_search(wanted), "now": now, "after": after, "limit": limit})
        return [key_id for (key_id,) in rows]

    def key_numbers(self, now: int) -> KeyNumbers:
        """How many keys are in each state."""
        row = self._rows_named("key_numbers", {"now": now, "soon": now + EXPIRES_SOON})[0]
        every, disabled, expired, revoked, *others = row
        return KeyNumbers(every - disabled - expired - revoked, disabled, expired, revoked, *others)

    def raw_numbers(self, now: int) -> RawNumbers:
        """How many keys were sent themselves lately."""
        return RawNumbers._make(self._rows_named("raw_numbers", {"day": now - DAY, "week": now - 7 * DAY})[0])

    def key_of_digest(self, digest: bytes) -> str | None:
        """Which key has this secret."""
        rows = self._rows("key_of_digest", digest)
        return rows[0][0] if rows else None

    def key_of_external_id(self, external_id: str) -> str | None:
        """Which key has the provider's own id."""
        rows = self._rows("key_of_external_id", external_id)
        return rows[0][0] if rows else None

    def update_key(self, key: ApiKey) -> bool:
        """Change what may change of a key."""
        return self._change_keys("update_key", *editable_row(key), key.key_id)

    def update_keys(self, keys: Sequence[ApiKey]) -> None:
        """Change what may change of many keys."""
        if keys:
            self._run_many("update_key", [(*editable_row(key), key.key_id) for key in keys])
            self._run("bump_control")

    def revoke_key(self, key_id: str, at: int, why: str = "revoked") -> bool:
        """Revoke an API key."""
        return self._change_keys("revoke_key", at, why, key_id)

    def add_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Give a key a secret."""
        self._change_keys("add_key_secret", key_id, *secret)

    def save_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Note when a secret was first used and when it ends."""
        self._change_keys("save_key_secret", key_id, *secret)

    def show_key_secret(self, key_id: str, secret: KeySecret) -> None:
        """Let programs that know one secret for each key know this one."""
        self._change_keys("show_digest", secret.digest, key_id)

    def delete_key_secret(self, digest: bytes) -> None:
        """Take a secret from its key."""
        self._change_keys("delete_key_secret", digest)

    def move_digest(self, key_id: str, old: bytes, secret: KeySecret) -> None:
        """Put a secret in the place of the one with the old digest."""
        self._run("delete_key_secret", old)
        self._run("add_key_secret", key_id, *secret)
        self._run("move_shown_digest", secret.digest, key_id, old)
        self._run("move_leak", secret.digest, old)

    def key_hashes(self) -> list[str]:
        """The hashes that the digests of imported keys are made of."""
        return [name for (name,) in self._rows("key_hashes")]

    def add_key_hash(self, name: str, at: int) -> None:
        """Note that keys are imported by this hash."""
        self._change_keys("add_key_hash", name, at)

    def note_leak(self, digest: bytes, key_id: str, at: int) -> bool:
        """Note that a secret was reported as leaked."""
        return self._run("note_leak", digest, key_id, at) > 0

    def last_uses(self, first: str, last: str) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of the keys between two ids."""
        return read_uses(self._rows("last_uses", first, last))

    def uses_of_keys(self, key_ids: Sequence[str]) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of these keys."""
        return read_uses(row for key_id in key_ids for row in self._rows("last_uses", key_id, key_id))

    def slow_hashes(self, lookup: str) -> list[SlowHash]:
        """The slow hashes of the keys that begin like this."""
        return [SlowHash._make(row) for row in self._rows("slow_hashes", lookup)]

    def add_slow_hashes(self, hashes: Sequence[SlowHash]) -> None:
        """Keep slow hashes."""
        if hashes:
            self.add_rows(SLOW_HASHES, hashes)

    def use_slow_hash(self, used: SlowHash) -> None:
        """Forget a slow hash."""
        self._run("use_slow_hash", used.algorithm, used.hash, used.lookup, used.key_id)

    @abstractmethod
    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store that grants are revoked."""

    def revoke_grant(self, grant: Grant) -> bool:
        """Store that a grant is revoked."""
        return bool(self.revoke_grants([grant]))

    @abstractmethod
    def _add_entries(self, entries: Sequence[NewRevocation]) -> list[Revocation]:
        """Put entries into the revocation list, under numbers that follow each other."""

    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Put entries into the revocation list."""
        return self._add_entries([(*entry, None) for entry in entries])

    def add_revocation(self, kind: Kind, value: str, until: int) -> Revocation:
        """Put an entry into the revocation list."""
        return self._add_entries([(kind, value, until, None)])[0]

    def end_tokens_of_key(self, key_id: str, issued_before: int, until: int) -> Revocation:
        """Put an entry into the revocation list that refuses a key's tokens from before an epoch second."""
        return self._add_entries([("key", key_id, until, issued_before)])[0]

    @abstractmethod
    def _add_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant."""

    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant."""
        if self.sieve is not None:
            lines, sifted = self.sieve.sift(lines)
            self._sifted += tuple(sifted)
        if lines:
            self._add_lines(lines)

    def _is_kept(self) -> None:
        self._sifted = ()

    def _is_undone(self) -> None:
        if self.sieve is not None and self._sifted:
            self.sieve.take_back(self._sifted)
        self._sifted = ()

    def append_audit(self, at: int, events: Sequence[Event]) -> None:
        """Append events to the audit trail, all with the same instant."""
        self.append_lines([(at, event) for event in events])

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""
        return [Revocation._make(row) for row in self._rows("revocations_after", n, now)]

    def prune_revocations(self, now: int) -> None:
        """Delete the entries whose tokens have all expired."""
        self._run("prune_revocations", now)

    def audit_after(self, n: int, limit: int) -> list[AuditRecord]:
        """The audit trail after a number."""
        return [read_audit(row) for row in self._rows("audit_after", n, limit)]

    def newest_audit(self, wanted: AuditFilter, limit: int, before: int = ENDLESS, above: int = 0) -> list[AuditRecord]:
        """The newest lines between two numbers that are wanted."""
        event, old = name_now(wanted.event), name_before(name_now(wanted.event))
        if wanted.since > 0:
            above = max(above, self._first_audit(wanted.since - SURELY_APART) - 1)
        if wanted.until < FOREVER:
            before = min(before, self._first_audit(wanted.until + SURELY_APART))
        others = (wanted.actor, wanted.actor, wanted.since, wanted.until, before, above, limit)
        events = (event, event, old)
        if wanted.grant_id:
            key = (wanted.key_id, wanted.key_id)
            rows = self._rows("newest_audit_of_grant", wanted.grant_id, *key, *events, *others)
        elif wanted.key_id:
            rows = self._rows("newest_audit_of_key", wanted.key_id, *events, *others)
        elif event:
            found = [self._rows("newest_audit_of_event", name, *others) for name in {event, old}]
            rows = sorted((row for each in found for row in each), reverse=True, key=itemgetter(0))[:limit]
        else:
            rows = self._rows("newest_audit", *others)
        return [read_audit(row) for row in reversed(rows)]

    def audit_of_grant(self, grant_id: str, limit: int) -> list[AuditRecord]:
        """The newest lines about a grant."""
        return [read_audit(row) for row in reversed(self._rows("audit_of_grant", grant_id, limit))]

    def count_audit(self, event: str, since: int) -> int:
        """How many lines tell of an event since an instant."""
        begin = self._first_audit(since - CLOCKS_APART)
        return int(self._rows("count_audit", begin, event, name_before(event), since)[0][0])

    def _first_audit(self, at: int) -> int:
        """A number from which all lines of an instant and later are."""
        low, high = 0, self.last_audit() + 1
        while low < high:
            middle = (low + high) // 2
            rows = self._rows("audit_at", middle)
            if not rows or rows[0][1] >= at:
                high = middle
            else:
                low = rows[0][0] + 1
        return low

    def last_audit(self) -> int:
        """The newest number of the audit trail."""
        return int(self._rows("last_audit")[0][0])

    @abstractmethod
    def audit_lines(self, first: int, limit: int) -> list[Line]:
        """The rows of the audit trail from a number on, with all the columns that the table has."""

    @abstractmethod
    def set_audit_macs(self, macs: Sequence[tuple[int, bytes]], at: int) -> None:
        """Chain rows of the audit trail."""

    def first_audit(self) -> int | None:
        """The number of the oldest row of the audit trail."""
        first: int | None = self._rows("first_audit")[0][0]
        return first

    def delete_audit_to(self, n: int) -> int:
        """Prune the audit trail up to a number."""
        return self._run("delete_audit_to", n)

    def audit_ends(self) -> Ends | None:
        """Where the chain begins and ends."""
        rows = self._rows("audit_ends")
        return Ends._make(rows[0]) if rows else None

    def save_audit_ends(self, ends: Ends) -> None:
        """Note where the chain begins and ends."""
        self._run("save_audit_ends", *ends)

    def moved(self) -> Moved | None:
        """Where the installation was moved to."""
        rows = self._rows("moved")
        return Moved._make(rows[0]) if rows else None

    def mark_moved(self, moved: Moved) -> None:
        """Note where the installation was moved to."""
        self._rows("mark_moved", *moved)

    def unmark_moved(self) -> bool:
        """Forget that the installation was moved."""
        return bool(self._rows("unmark_moved"))

    def add_webhook(self, webhook: Webhook) -> None:
        """Store a new webhook."""
        self._run("add_webhook", *webhook_row(webhook))

    def webhooks(self) -> list[Webhook]:
        """All webhooks."""
        return [read_webhook(row) for row in self._rows("webhooks")]

    def webhook(self, webhook_id: str) -> Webhook | None:
        """One webhook."""
        rows = self._rows("webhook", webhook_id)
        return read_webhook(rows[0]) if rows else None

    def update_webhook(self, webhook: Webhook) -> None:
        """Change what may change of a webhook."""
        row = webhook_row(webhook)
        self._run("update_webhook", *(row[place] for place in EDITABLE_OF_WEBHOOK), webhook.webhook_id)

    def save_progress(self, progress: WebhookProgress) -> None:
        """Note how far a webhook is."""
        webhook_id, revision, delivered, failing_since = progress
        self._run("save_progress", delivered, revision, failing_since, webhook_id, delivered)

    def delete_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook and what is known of its deliveries."""
        self._run("delete_deliveries", webhook_id)
        return self._run("delete_webhook", webhook_id) > 0

    def add_deliveries(self, deliveries: Sequence[WebhookDelivery]) -> None:
        """Note how attempts went."""
        self._run_many("add_delivery", deliveries)

    def deliveries(self, webhook_id: str, since: int, limit: int) -> list[WebhookDelivery]:
        """How the newest attempts of a webhook went."""
        return [WebhookDelivery._make(row) for row in self._rows("deliveries", webhook_id, since, limit)]

    def prune_deliveries(self, webhook_id: str, before: int, keep: int) -> None:
        """Forget a webhook's oldest attempts."""
        self._run("prune_deliveries", webhook_id, before, webhook_id, keep)

    def control(self) -> Control:
        """What every process polls."""
        return Control._make(self._rows("control")[0])

    def look(self) -> Control:
        """What every process polls."""
        return self.control()

    def add_secret(self, name: str, kid: str, sealed: bytes, at: int, sealed_by: str | None = None) -> None:
        """Store a sealed secret."""
        self._change_keys("add_secret", name, kid, sealed, at, sealed_by)

    def secrets(self, name: str) -> list[tuple[str, bytes]]:
        """The sealed secrets of a name, newest first."""
        return [(kid, sealed) for kid, sealed in self._rows("secrets", name)]

    def sealed_secrets(self) -> list[StoredSecret]:
        """All sealed secrets."""
        return [StoredSecret._make(row) for row in self._rows("sealed_secrets")]

    def seal_secret(self, old: StoredSecret, new: StoredSecret) -> bool:
        """Put another sealing of a secret in the place of one."""
        return self._change_keys("seal_secret", new.sealed, new.sealed_by, old.name, old.kid, old.sealed)

    def delete_secret(self, name: str, kid: str) -> None:
        """Forget a secret."""
        self._change_keys("delete_secret", name, kid)

    def add_signing_key(self, stored: StoredSigningKey) -> None:
        """Store a signing key."""
        self._change_keys("add_signing_key", *stored.key, stored.sealed, stored.sealed_by)

    def signing_keys(self) -> list[StoredSigningKey]:
        """All signing keys."""
        rows = self._rows("signing_keys")
        return [StoredSigningKey(SigningKey._make(key), sealed, sealed_by) for *key, sealed, sealed_by in rows]

    def seal_signing_key(self, old: StoredSigningKey, new: StoredSigningKey) -> bool:
        """Put another sealing of a signing key in the place of one."""
        return self._change_keys("seal_signing_key", new.sealed, new.sealed_by, old.key.kid, old.sealed)

    def retire_signing_key(self, kid: str, at: int) -> None:
        """Set the instant at which a successor takes over."""
        self._change_keys("retire_signing_key", at, kid)

    def delete_signing_key(self, kid: str) -> None:
        """Delete a signing key."""
        self._change_keys("delete_signing_key", kid)

    def add_stats(self, node: str, rows: Sequence[tuple[int, Stats]]) -> None:
        """Add to what happened on a node in each minute."""
        self._run_many("add_stats", [(minute, node, *stats) for minute, stats in rows])

    def stats_since(self, minute: int, width: int) -> dict[int, Stats]:
        """What happened on all nodes since a minute."""
        return {begins: Stats._make(row) for begins, *row in self._rows("stats_since", width, width, minute)}

    def prune_stats(self, minute: int) -> None:
        """Delete what happened before a minute."""
        self._run("prune_stats", minute)

    def told_expiries(self, days: int) -> KeyExpiry | None:
        """Up to which key's end notices are in the audit trail."""
        rows = self._rows("told_expiries", days)
        return KeyExpiry._make(rows[0]) if rows else None

    def note_told_expiries(self, days: int, until: KeyExpiry) -> None:
        """Note up to which key's end notices are in the audit trail."""
        self._run("note_told_expiries", days, *until)

    def expiring_keys(self, after: KeyExpiry, until: int, limit: int) -> list[tuple[KeyExpiry, str]]:
        """The keys that end after one and not after an instant."""
        rows = self._rows("expiring_keys", *after, until, limit)
        return [(KeyExpiry(expires_at, key_id), name) for expires_at, key_id, name in rows]

    def note_measured(self, name: str, measured: Measured) -> None:
        """Keep what took long to count."""
        self._run("note_measured", name, *measured)

    def measured(self, name: str) -> Measured | None:
        """What was counted last under a name."""
        rows = self._rows("measured", name)
        return Measured._make(rows[0]) if rows else None

    def add_one_time_link(self, link: OneTimeLink) -> None:
        """Keep a link that signs in."""
        self._run("add_one_time_link", *link)

    def take_one_time_link(self, id_hash: bytes) -> OneTimeLink | None:
        """A link, which is gone then."""
        rows = self._rows("take_one_time_link", id_hash)
        return OneTimeLink._make(rows[0]) if rows else None

    def add_sign_in(self, one: SignIn) -> None:
        """Keep that somebody signed in."""
        self._run("add_sign_in", *one)

    def sign_in(self, id_hash: bytes) -> SignIn | None:
        """Who is signed in with this id."""
        rows = self._rows("sign_in", id_hash)
        return SignIn._make(rows[0]) if rows else None

    def sign_ins_of(self, who: str) -> list[SignIn]:
        """All sign-ins of one person."""
        return [SignIn._make(row) for row in self._rows("sign_ins_of", who)]

    def note_seen(self, id_hash: bytes, at: int) -> None:
        """Note that a sign-in was used."""
        self._run("note_seen", at, id_hash)

    def end_sign_in(self, id_hash: bytes) -> None:
        """Forget a sign-in."""
        self._run("end_sign_in", id_hash)

    def end_sign_ins_of(self, who: str) -> int:
        """Forget all sign-ins of one person."""
        return self._run("end_sign_ins_of", who)

    def prune_sign_ins(self, started: int, seen: int, made: int) -> None:
        """Forget what has ended by itself."""
        self._run("prune_sign_ins", started, seen)
        self._run("prune_one_time_links", made)

    def idempotent_call(self, digest: bytes) -> IdempotentCall | None:
        """A call that came with an Idempotency-Key."""
        rows = self._rows("idempotent_call", digest)
        return IdempotentCall._make(rows[0]) if rows else None

    def reserve_call(self, call: IdempotentCall) -> None:
        """Reserve a call."""
        self._run("reserve_call", *call)

    def answer_call(self, call: IdempotentCall) -> bool:
        """Keep the answer of a call."""
        digest, _, seed, *answer = call
        return self._run("answer_call", *answer, digest, seed) > 0

    def release_call(self, call: IdempotentCall) -> None:
        """Forget a reservation."""
        self._run("release_call", call.digest, call.seed)

    def prune_calls(self, now: int, limit: int) -> int:
        """Forget calls that are over."""
        return self._run("prune_calls", now, limit)

    def numbers(self) -> Numbers:
        """The counters of this database."""
        return Numbers._make(self._rows("numbers")[0])

    def pending_migrations(self) -> list[str]:
        """The names of the migrations that `migrate` would apply."""
        return [name for name, _ in self._compare().pending]

    def need_program(self, number: int) -> None:
        """Note that no older program can live with a migration."""
        self._run("need_program", number, f"{number:04}%")

    def older_programs(self, number: int) -> int:
        """None that shows, unless a dialect knows."""
        return 0

    def newer_migrations(self) -> list[str]:
        """The names of the migrations that a newer program applied."""
        return self._compare().newer

    def _apply(self, pending: Sequence[Migration], now: int) -> None:
        for each in pending:
            self._run_script(each.sql)
            self._run("note_migration", each.name, checksum(each.sql), now, each.oldest)


def read_uses(rows: Iterable[Row]) -> dict[str, dict[UseKind, LastUse]]:
    """The last uses of keys from the columns of `KeyUse`."""
    uses: dict[str, dict[UseKind, LastUse]] = {}
    for key_id, kind, at, address in rows:
        uses.setdefault(key_id, {})[kind] = LastUse(at, None if address is None else unpack_address(address))
    return uses
