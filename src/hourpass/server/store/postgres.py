"""The Store on PostgreSQL. It runs the statements of `sql/`. `postgres_connection` knows how to talk to the server.

A batch of grants is one statement, whose rows are in the order of keys and ids. Instants come from the caller.
"""

from collections.abc import Sequence
from operator import itemgetter

from psycopg.errors import UniqueViolation

from hourpass.core.api_key import ApiKey, KeySecret, UseKind
from hourpass.core.audit import Event
from hourpass.core.audit_chain import Line
from hourpass.core.grant import Grant, GrantRef
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUse
from hourpass.core.revocation import Revocation
from hourpass.server.store import SharedStore, persist
from hourpass.server.store.api_keys import read_key
from hourpass.server.store.audit_trail import AuditRow, audit_row
from hourpass.server.store.connection import ENDLESS, Row, TransactionConflict
from hourpass.server.store.control import Control
from hourpass.server.store.copying import Numbers
from hourpass.server.store.grants import grant_row, pack, read_grant
from hourpass.server.store.key_uses import KeyUse, read_uses
from hourpass.server.store.migrations import Applied, Compared, Migration, compare
from hourpass.server.store.postgres_connection import PostgresConnection
from hourpass.server.store.revocations import NewRevocation
from hourpass.server.store.tables import Table


class PostgresStore(SharedStore, PostgresConnection):
    """One connection to a PostgreSQL database that several servers may share."""

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Store new grants."""
        if grants:
            self._batch("add_grants", Grant._fields, map(grant_row, grants))

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """Those of these grants that exist."""
        if not refs:
            return {}
        grants = map(read_grant, self._batch("grants", GrantRef._fields, refs))
        return {grant.ref: grant for grant in grants}

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants. Returns those that another transaction changed meanwhile."""
        if not rotations:
            return set()
        rows = sorted(
            (g.key_id, g.grant_id, decided_on, g.generation, pack(g.superseded), g.idle_expires_at, g.last_from)
            for decided_on, g in rotations
        )
        saved = self._batch("rotate_grants", _ROTATION, rows).fetchall()
        # A row of two columns is a tuple, and equal to the GrantRef of the same two values.
        return {g.ref for _, g in rotations}.difference(saved) if len(saved) < len(rows) else set()

    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """Read and lock grants. Returns them, and the references of those that another transaction holds."""
        taken = {grant.ref: grant for grant in map(read_grant, self._batch("take_grants", GrantRef._fields, refs))}
        missing = [ref for ref in refs if ref not in taken] if len(taken) < len(refs) else []
        # A grant that was skipped may be locked, or may not exist. A plain read tells: it sees locked rows, too.
        return taken, set(self.grants(missing))

    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store that grants are revoked."""
        rows = sorted((*g.ref, g.revoked_at, g.revoked_why) for g in grants)
        return {GrantRef(*ref) for ref in self._batch("revoke_grants", _END, rows)}

    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants."""
        return self._batch("delete_grants", GrantRef._fields, refs).rowcount if refs else 0

    def keep_uses(self, uses: Sequence[KeyUse]) -> None:
        """Note when keys were last used. In the order of the rows, so that two nodes never wait for each other."""
        if uses:
            self._batch("keep_uses", KeyUse._fields, sorted(uses, key=itemgetter(0, 1)))

    def add_revocations(self, entries: Sequence[NewRevocation]) -> list[Revocation]:
        """Add entries to the revocation list."""
        numbers = sorted(self._batch("add_revocations", NewRevocation._fields, entries, count=len(entries)))
        return [Revocation(n, *entry) for (n,), entry in zip(numbers, entries, strict=True)]

    def _add_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant."""
        rows = (audit_row(at, event) for at, event in lines)
        self._batch("add_audit", AuditRow._fields, rows, count=len(lines))

    def audit_lines(self, first: int, limit: int) -> list[Line]:
        """The rows of the audit trail from a number on."""
        return [Line._make(row) for row in self._rows("audit_lines", first, limit)]

    def set_audit_macs(self, macs: Sequence[tuple[int, bytes]], at: int) -> None:
        """Chain rows of the audit trail."""
        if macs:
            self._batch("set_audit_macs", ("n", "mac"), macs, at=at)

    def keys_of_ids(self, key_ids: Sequence[str]) -> dict[str, ApiKey]:
        """The API keys that exist among these."""
        if not key_ids:
            return {}
        asked = [(key_id,) for key_id in key_ids]
        secrets: dict[str, list[KeySecret]] = {}
        for key_id, *secret in self._batch("secrets_of_keys", _KEY_ID, asked):
            secrets.setdefault(key_id, []).append(KeySecret._make(secret))
        rows = self._batch("keys_of_ids", _KEY_ID, asked)
        return {row[0]: read_key(row, secrets.get(row[0], ())) for row in rows}

    def uses_of_keys(self, key_ids: Sequence[str]) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of these keys."""
        return read_uses(self._batch("uses_of_keys", _KEY_ID, [(key_id,) for key_id in key_ids])) if key_ids else {}

    def find_keys(self, wanted: KeyFilter, now: int, after: str, limit: int) -> list[str]:
        """The ids of the keys that the filter may take."""
        self._run("take_memory")
        return super().find_keys(wanted, now, after, limit)

    def keys_of_digests(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Of many secrets, whose they are."""
        return dict(self._batch("keys_of_digests", ("digest",), [(each,) for each in digests])) if digests else {}

    def keys_of_external_ids(self, external_ids: Sequence[str]) -> dict[str, str]:
        """Of many ids of the provider's, whose they are."""
        asked = [(each,) for each in external_ids]
        return dict(self._batch("keys_of_external_ids", ("external_id",), asked)) if asked else {}

    def look(self) -> Control:
        """What every process polls, in one round trip."""
        return Control._make(self._rows_alone("control")[0])

    def cautions(self) -> list[str]:
        """Warnings for the operator about this database server."""
        version, with_citus = self._execute(_WHAT_IT_IS).fetchone() or (0, False)
        sentences = []
        if version < OLDEST_VERSION:
            sentences.append(f"PostgreSQL {version} is not tested: {OLDEST_VERSION} and later are")
        if with_citus:
            sentences.append("Citus is not supported: use a PostgreSQL of its own for each shard of the keys")
        return sentences

    def older_programs(self, number: int) -> int:
        """How many connections of older programs there are. A pooler's connections tell nothing."""
        return 0 if self._begins_with else int(self._rows("older_programs", f"hourpass/{number:04}")[0][0])

    def count_rows(self, table: Table) -> int:
        """How many rows a table has, however long it takes to count them."""
        self._run("take_time")
        return super().count_rows(table)

    def count_live_grants(self, now: int, opened_before: int = ENDLESS) -> int:
        """How many grants are neither revoked nor expired, however long it takes to count them."""
        self._run("take_time")
        return super().count_live_grants(now, opened_before)

    def rows_page(self, table: Table, after: Row, limit: int) -> list[Row]:
        """A table's rows after a primary key."""
        return self._fetch(table.page_sql.replace("?", "%s"), *after, limit)

    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as the `rows_page` of another store returned them."""
        self._stream(f"copy {table.name} ({', '.join(table.columns)}) from stdin", rows)

    def go_on_from(self, numbers: Numbers) -> None:
        """Set the counters to those of another database."""
        self._run("go_on_from", *numbers)

    def migrate(self, now: int) -> list[str]:
        """Apply what is missing, all in one transaction. If several processes migrate at once, the others wait."""

        def work() -> list[Migration]:
            self._start("begin")
            self._execute("set local lock_timeout = 60000; set local statement_timeout = 0")
            try:
                self._execute(_MAKE_MIGRATIONS)
            except UniqueViolation as error:
                # `if not exists` does not see a table that another first start is making.
                raise TransactionConflict("PostgreSQL: another process migrates") from error
            self._execute("lock table migrations in exclusive mode")
            # A change to a table waits for its readers, and everybody who comes later waits for it. Not for long.
            self._execute("set local lock_timeout = 2000")
            self._execute("alter table migrations add column if not exists oldest bigint")
            pending = self._compare().pending
            self._apply(pending, now)
            self._run("begin_numbering", now)
            self.commit()
            return pending

        # Nothing is tried if nothing is pending: the role may not be allowed to create tables.
        return [name for name, _ in persist(work, self.rollback)] if self.pending_migrations() else []

    def is_migrated(self) -> bool:
        """Whether `migrate` ever ran on this database."""
        return self._execute("select to_regclass('migrations')::text").fetchone() != (None,)

    def _compare(self) -> Compared:
        rows = self._execute(_APPLIED).fetchall() if self.is_migrated() else []
        return compare("postgres", [Applied(*row) for row in rows])


_ROTATION = ("key_id", "grant_id", "decided_on", "generation", "superseded", "idle_expires_at", "last_from")
_KEY_ID = ("key_id",)
_END = ("key_id", "grant_id", "revoked_at", "revoked_why")
"""The names of a batch's columns, in the order of its rows."""

_MAKE_MIGRATIONS = """
create table if not exists migrations
(name text collate "C" primary key, checksum text not null, applied_at bigint not null, oldest bigint)
"""

OLDEST_VERSION = 15
"""The oldest PostgreSQL that the tests run on."""

_WHAT_IT_IS = """
select current_setting('server_version_num')::int / 10000, exists (select from pg_extension where extname = 'citus')
"""

_APPLIED = "select name, checksum, (to_jsonb(m) ->> 'oldest')::bigint from migrations m"
"""`oldest` is read through JSON, because a table that an earlier program made does not have this column."""
