"""The Store on PostgreSQL, in the words of `sql/`; the connection beneath it knows how to talk to the server.

A batch of grants is one statement, whose rows come in the order of keys and ids. Instants come from the caller.
"""

from collections.abc import Sequence

from psycopg.errors import UniqueViolation

from hourpass.core.audit import Event
from hourpass.core.grant import Grant, GrantRef
from hourpass.core.revocation import Kind, Revocation
from hourpass.server.store import (
    Control,
    Numbers,
    Row,
    TransactionConflict,
    persist,
)
from hourpass.server.store.base import BaseStore
from hourpass.server.store.postgres_connection import PostgresConnection
from hourpass.server.store.rows import AuditRow, audit_row, grant_row, pack, read_grant
from hourpass.server.store.statements import Applied, Compared, Migration, compare
from hourpass.server.store.tables import Table


class PostgresStore(PostgresConnection, BaseStore):
    """One connection to a PostgreSQL database that several servers may share."""

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Open grants."""
        if grants:
            self._batch("add_grants", Grant._fields, map(grant_row, grants))

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """The grants that exist among these."""
        if not refs:
            return {}
        grants = map(read_grant, self._batch("grants", GrantRef._fields, refs))
        return {grant.ref: grant for grant in grants}

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants; returns those that somebody changed meanwhile."""
        if not rotations:
            return set()
        rows = sorted(
            (g.key_id, g.grant_id, decided_on, g.generation, pack(g.superseded), g.idle_expires_at, g.last_from)
            for decided_on, g in rotations
        )
        saved = self._batch("rotate_grants", _ROTATION, rows).fetchall()
        # A row of two columns is equal to the reference that they make.
        return {g.ref for _, g in rotations}.difference(saved) if len(saved) < len(rows) else set()

    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """The grants that exist among these, locked, and those that another transaction holds."""
        taken = {grant.ref: grant for grant in map(read_grant, self._batch("take_grants", GrantRef._fields, refs))}
        missing = [ref for ref in refs if ref not in taken] if len(taken) < len(refs) else []
        # What was passed over may be held, or may not exist: a reader sees a row whoever holds it.
        return taken, set(self.grants(missing))

    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store several grants' ends."""
        rows = sorted((*g.ref, g.revoked_at, g.revoked_why) for g in grants)
        return {GrantRef(*ref) for ref in self._batch("revoke_grants", _END, rows)}

    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants."""
        return self._batch("delete_grants", GrantRef._fields, refs).rowcount if refs else 0

    def add_revocations(self, entries: Sequence[tuple[Kind, str, int]]) -> list[Revocation]:
        """Put entries into the revocation list."""
        numbers = sorted(self._batch("add_revocations", _ENTRY, entries, count=len(entries)))
        return [Revocation(n, kind, value, until) for (n,), (kind, value, until) in zip(numbers, entries, strict=True)]

    def append_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events, each with its instant, to the audit trail."""
        if lines:
            rows = (audit_row(at, event) for at, event in lines)
            self._batch("add_audit", AuditRow._fields, rows, count=len(lines))

    def time(self) -> int:
        """What the database's clock says."""
        return int(self._rows("time")[0][0])

    def look(self) -> Control:
        """What every process polls, in one round trip."""
        return Control._make(self._rows_alone("control")[0])

    def cautions(self) -> list[str]:
        """What speaks against this server."""
        version, with_citus = self._execute(_WHAT_IT_IS).fetchone() or (0, False)
        sentences = []
        if version < OLDEST_VERSION:
            sentences.append(f"PostgreSQL {version} is not tested: {OLDEST_VERSION} and later are")
        if with_citus:
            sentences.append("Citus is not supported: use a PostgreSQL of its own for each shard of the keys")
        return sentences

    def numbered_since(self) -> int:
        """Since when revocations are numbered without a break."""
        return int(self._rows("numbered_since")[0][0])

    def take_lease(self, name: str, holder: str, now: int, until: int) -> bool:
        """Take or renew a lease."""
        return self._run("take_lease", name, holder, until, now) > 0

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

        def work() -> list[Migration]:
            self._start("begin")
            self._execute("set local lock_timeout = 60000; set local statement_timeout = 0")
            try:
                self._execute(_MAKE_MIGRATIONS)
            except UniqueViolation as error:
                # `if not exists` does not see a table that another first start is making.
                raise TransactionConflict("PostgreSQL: another process migrates") from error
            self._execute("lock table migrations in exclusive mode")
            # A change to a table waits for whoever reads it, and all who come later wait for the change: not for long.
            self._execute("set local lock_timeout = 2000")
            self._execute("alter table migrations add column if not exists oldest bigint")
            pending = self._compare().pending
            self._apply(pending, now)
            self._run("begin_numbering", now)
            self.commit()
            return pending

        # A role that may make no tables gets past this where there is nothing to make.
        return [name for name, _ in persist(work, self.rollback)] if self.pending_migrations() else []

    def is_migrated(self) -> bool:
        """Whether `migrate` was ever here."""
        return self._execute("select to_regclass('migrations')::text").fetchone() != (None,)

    def _compare(self) -> Compared:
        rows = self._execute(_APPLIED).fetchall() if self.is_migrated() else []
        return compare("postgres", [Applied(*row) for row in rows])

    def maintain(self) -> None:
        """Nothing: the database server looks after itself."""


_ROTATION = ("key_id", "grant_id", "decided_on", "generation", "superseded", "idle_expires_at", "last_from")
_END = ("key_id", "grant_id", "revoked_at", "revoked_why")
_ENTRY = ("kind", "value", "until")
"""What the columns of a batch are called, in the order of its rows."""

_MAKE_MIGRATIONS = """
create table if not exists migrations
(name text collate "C" primary key, checksum text not null, applied_at bigint not null, oldest bigint)
"""

OLDEST_VERSION = 15
"""Of PostgreSQL; the tests run on this one and later ones."""

_WHAT_IT_IS = """
select current_setting('server_version_num')::int / 10000, exists (select from pg_extension where extname = 'citus')
"""

_APPLIED = "select name, checksum, (to_jsonb(m) ->> 'oldest')::bigint from migrations m"
"""As JSON, because a table that an earlier program made has no such column."""
