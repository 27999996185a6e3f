"""The Store on PostgreSQL, in the words of `sql/`; the connection beneath it knows how to talk to the server.

A batch of grants is one statement, whose rows come in the order of keys and ids. Instants come from the caller.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg.errors import UniqueViolation

from hourpass.core.api_key import ApiKey
from hourpass.core.audit import Event, event_name
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.revocation import Kind, Revocation
from hourpass.core.signing_key import SigningKey
from hourpass.server.store import (
    AuditRecord,
    Control,
    Expiry,
    Numbers,
    Row,
    StoredSigningKey,
    TransactionConflict,
    checksum,
    load_migrations,
    persist,
    unapplied,
)
from hourpass.server.store.postgres_connection import PostgresConnection
from hourpass.server.store.tables import Table

_encode = msgspec.json.Encoder().encode


class PostgresStore(PostgresConnection):
    """One connection to a PostgreSQL database that several servers may share."""

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Open grants."""
        if grants:
            rows = (
                (
                    g.grant_id,
                    g.key_id,
                    g.generation,
                    g.seed,
                    _pack(g.superseded),
                    g.scope,
                    g.created_at,
                    g.idle_expires_at,
                    g.expires_at,
                )
                for g in grants
            )
            self._run("add_grants", *_columns(rows))

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """The grants that exist among these."""
        if not refs:
            return {}
        grants = map(_grant, self._rows("grants", *_columns(refs)))
        return {grant.ref: grant for grant in grants}

    def find_grant(self, grant_id: bytes) -> Grant | None:
        """One grant by its id alone, by looking at all of them."""
        rows = self._rows("find_grant", grant_id)
        return _grant(rows[0]) if rows else None

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants that nobody changed meanwhile."""
        if not rotations:
            return set()
        rows = sorted(
            (g.key_id, g.grant_id, decided_on, g.generation, _pack(g.superseded), g.idle_expires_at)
            for decided_on, g in rotations
        )
        return {GrantRef(*row) for row in self._rows("rotate_grants", *_columns(rows))}

    def revoke_grant(self, grant: Grant) -> bool:
        """Store a grant's end by decision."""
        return self._run("revoke_grant", grant.revoked_at, grant.revoked_why, *grant.ref) > 0

    def count_grants(self, key_id: str) -> int:
        """How many grants of a key are not revoked."""
        return int(self._rows("count_grants", key_id)[0][0])

    def grant_ages(self, key_id: str) -> list[GrantAge]:
        """What decides which grants of a key are closed first."""
        return [GrantAge(*row) for row in self._rows("grant_ages", key_id)]

    def grants_page(self, after: GrantRef, limit: int) -> list[Grant]:
        """Grants in the order of their keys and ids."""
        return [_grant(row) for row in self._rows("grants_page", *after, limit)]

    def grants_of_key(self, key_id: str, after: bytes, limit: int) -> list[Grant]:
        """A key's grants in the order of their ids."""
        return [_grant(row) for row in self._rows("grants_of_key", key_id, after, limit)]

    def expiries_page(self, after: GrantRef, limit: int) -> list[Expiry]:
        """What pruning has to know."""
        rows = self._rows("expiries_page", *after, limit)
        return [Expiry(GrantRef(key_id, grant_id), *rest) for key_id, grant_id, *rest in rows]

    def delete_grants(self, refs: Sequence[GrantRef]) -> None:
        """Close or prune grants."""
        if refs:
            self._run("delete_grants", *_columns(sorted(refs)))

    def add_key(self, key: ApiKey) -> None:
        """Keep a new API key."""
        self._run("add_key", *key[:8], " ".join(key.allowed_ips), key.created_at, key.expires_at)
        self._run("bump_control")

    def key(self, key_id: str) -> ApiKey | None:
        """One API key."""
        rows = self._rows("key", key_id)
        return _key(rows[0]) if rows else None

    def keys_page(self, after: str, limit: int) -> list[ApiKey]:
        """API keys in the order of their ids."""
        return [_key(row) for row in self._rows("keys_page", after, limit)]

    def revoke_key(self, key_id: str, at: int) -> bool:
        """End an API key."""
        if not self._run("revoke_key", at, key_id):
            return False
        self._run("bump_control")
        return True

    def add_revocation(self, kind: Kind, value: str, until: int) -> Revocation:
        """Put an entry into the revocation list."""
        return Revocation(self._rows("add_revocation", kind, value, until)[0][0], kind, value, until)

    def revocations_after(self, n: int, now: int) -> list[Revocation]:
        """The entries after a number that can still refuse a token."""
        return [Revocation(*row) for row in self._rows("revocations_after", n, now)]

    def prune_revocations(self, now: int) -> None:
        """Forget entries that can refuse nothing any more."""
        self._run("prune_revocations", now)

    def append_audit(self, at: int, events: Sequence[Event]) -> None:
        """Append to the audit trail."""
        for event in events:
            detail = event._asdict()
            key_id, grant_id = detail.pop("key_id", None), detail.pop("grant_id", None)
            self._run("add_audit", at, event_name(event), key_id, grant_id, _encode(detail).decode())

    def audit_after(self, n: int, limit: int) -> list[AuditRecord]:
        """The audit trail after a number."""
        rows = self._rows("audit_after", n, limit)
        return [AuditRecord._make((*row[:5], msgspec.json.decode(row[5]))) for row in rows]

    def last_audit(self) -> int:
        """The newest number of the audit trail."""
        return int(self._rows("last_audit")[0][0])

    def control(self) -> Control:
        """What every process polls."""
        return Control(*self._rows("control")[0])

    def numbered_since(self) -> int:
        """Since when revocations are numbered without a break."""
        return int(self._rows("numbered_since")[0][0])

    def take_lease(self, name: str, holder: str, now: int, until: int) -> bool:
        """Take or renew a lease."""
        return self._run("take_lease", name, holder, until, now) > 0

    def add_secret(self, name: str, kid: str, sealed: bytes, at: int) -> None:
        """Keep a sealed secret."""
        self._run("add_secret", name, kid, sealed, at)
        self._run("bump_control")

    def secrets(self, name: str) -> list[tuple[str, bytes]]:
        """The sealed secrets of a name, newest first."""
        return [(kid, sealed) for kid, sealed in self._rows("secrets", name)]

    def add_signing_key(self, stored: StoredSigningKey) -> None:
        """Keep a signing key."""
        key = stored.key
        self._run("add_signing_key", key.kid, key.algorithm, key.published_at, key.signs_from, stored.sealed)
        self._run("bump_control")

    def signing_keys(self) -> list[StoredSigningKey]:
        """All signing keys."""
        return [StoredSigningKey(SigningKey(*row[:5]), row[5]) for row in self._rows("signing_keys")]

    def retire_signing_key(self, kid: str, at: int) -> None:
        """Set when a successor takes over."""
        self._run("retire_signing_key", at, kid)
        self._run("bump_control")

    def delete_signing_key(self, kid: str) -> None:
        """Forget a signing key."""
        self._run("delete_signing_key", kid)
        self._run("bump_control")

    def count_rows(self, table: Table) -> int:
        """How many rows a table has, however long that takes."""
        self._run("take_time")
        return int(self._fetch(table.count_sql)[0][0])

    def rows_page(self, table: Table, after: Row, limit: int) -> list[Row]:
        """A table's rows after a key."""
        return self._fetch(table.page_sql.replace("?", "%s"), *after, limit)

    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as another store gave them."""
        self._stream(f"copy {table.name} ({', '.join(table.columns)}) from stdin", rows)

    def numbers(self) -> Numbers:
        """Where the counting is."""
        return Numbers(*self._rows("numbers")[0])

    def go_on_from(self, numbers: Numbers) -> None:
        """Let the counting go on where another store's was."""
        self._run("go_on_from", *numbers)

    def migrate(self, now: int) -> list[str]:
        """Apply what is missing, all in one transaction; of several at once, the others wait."""

        def work() -> list[tuple[str, str]]:
            self._start("begin; set local lock_timeout = 60000; set local statement_timeout = 0")
            try:
                self._execute(_MAKE_MIGRATIONS)
            except UniqueViolation as error:
                # `if not exists` does not see a table that another first start is making.
                raise TransactionConflict("PostgreSQL: another process migrates") from error
            self._execute("lock table migrations in exclusive mode")
            # A change to a table waits for whoever reads it, and all who come later wait for the change: not for long.
            self._execute("set local lock_timeout = 2000")
            pending = self._pending()
            for name, sql in pending:
                self._execute(sql)
                self._execute("insert into migrations values (%s, %s, %s)", (name, checksum(sql), now))
            self._run("begin_numbering", now)
            self.commit()
            return pending

        # A role that may make no tables gets past this where there is nothing to make.
        return [name for name, _ in persist(work, self.rollback)] if self.pending_migrations() else []

    def pending_migrations(self) -> list[str]:
        """What `migrate` would apply."""
        return [name for name, _ in (self._pending() if self.is_migrated() else load_migrations("postgres"))]

    def is_migrated(self) -> bool:
        """Whether `migrate` was ever here."""
        return self._execute("select to_regclass('migrations')::text").fetchone() != (None,)

    def _pending(self) -> list[tuple[str, str]]:
        return unapplied("postgres", dict(self._execute("select name, checksum from migrations").fetchall()))

    def maintain(self) -> None:
        """Nothing: the database server looks after itself."""


_MAKE_MIGRATIONS = """
create table if not exists migrations
(name text collate "C" primary key, checksum text not null, applied_at bigint not null)
"""


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows as one array for each column, as `unnest` wants them."""
    return [list(column) for column in zip(*rows, strict=True)]


def _pack(instants: Sequence[int]) -> bytes:
    return struct.pack(f">{len(instants)}q", *instants) if instants else b""


def _grant(row: Row) -> Grant:
    superseded = row[4]
    instants = struct.unpack(f">{len(superseded) // 8}q", superseded) if superseded else ()
    return Grant._make((*row[:4], instants, *row[5:]))


def _key(row: Row) -> ApiKey:
    return ApiKey._make((*row[:8], tuple(str(row[8]).split()), *row[9:]))
