"""The Store on SQLite. It runs the statements of `sql/`. `sqlite_connection` knows the files and what errors mean."""

from collections.abc import Sequence

from hourpass.core.api_key import ApiKey, UseKind
from hourpass.core.audit import Event
from hourpass.core.audit_chain import Line
from hourpass.core.grant import Grant, GrantRef
from hourpass.core.last_use import LastUse
from hourpass.core.revocation import Revocation
from hourpass.server.store import Store
from hourpass.server.store.audit_trail import audit_row
from hourpass.server.store.connection import Row
from hourpass.server.store.control import Control
from hourpass.server.store.copying import Numbers
from hourpass.server.store.grants import grant_row, pack, read_grant
from hourpass.server.store.key_uses import KeyUse, read_uses
from hourpass.server.store.migrations import Applied, Compared, compare
from hourpass.server.store.revocations import NewRevocation
from hourpass.server.store.sqlite_connection import Q, SqliteConnection, storage_errors
from hourpass.server.store.tables import Table


class SqliteStore(Store, SqliteConnection):
    """One SQLite file. `path` may be `:memory:` for tests. With `read_only` nothing in the file is changed."""

    def look(self) -> Control:
        """What every process polls."""
        self._require_files()
        return self.control()

    def prove_writable(self) -> None:
        """Write without changing anything. An update that changes no byte writes nothing, so one is made and undone."""
        self._rows("bump_control")
        self._rows("take_back_bump_control")

    def add_grants(self, grants: Sequence[Grant]) -> None:
        """Store new grants."""
        with storage_errors():
            self._db.executemany(_ADD_GRANT, map(grant_row, grants))

    def grants(self, refs: Sequence[GrantRef]) -> dict[GrantRef, Grant]:
        """Those of these grants that exist."""
        execute = self._execute
        found = {}
        with storage_errors():
            for ref in refs:
                row = execute(_GRANT, ref).fetchone()
                if row is not None:
                    found[ref] = read_grant(row)
        return found

    def save_rotations(self, rotations: Sequence[tuple[int, Grant]]) -> set[GrantRef]:
        """Store rotated grants. Returns those that another transaction changed meanwhile."""
        execute, changes = self._execute, self._db.changes
        lost = set()
        with storage_errors():
            for generation, g in rotations:
                execute(
                    _ROTATE_GRANT,
                    (
                        g.generation,
                        pack(g.superseded),
                        g.idle_expires_at,
                        g.last_from,
                        g.key_id,
                        g.grant_id,
                        generation,
                    ),
                )
                if not changes():
                    lost.add(g.ref)
        return lost

    def take_grants(self, refs: Sequence[GrantRef]) -> tuple[dict[GrantRef, Grant], set[GrantRef]]:
        """Those of these grants that exist. No other transaction can hold one, because a file has only one writer."""
        return self.grants(refs), set()

    def revoke_grants(self, grants: Sequence[Grant]) -> set[GrantRef]:
        """Store that grants are revoked."""
        return {g.ref for g in grants if self._run("revoke_grant", g.revoked_at, g.revoked_why, *g.ref)}

    def delete_grants(self, refs: Sequence[GrantRef]) -> int:
        """Close or prune grants."""
        return sum(self._run("delete_grant", *ref) for ref in refs)

    def keep_uses(self, uses: Sequence[KeyUse]) -> None:
        """Note when keys were last used."""
        self._run_many("keep_use", uses)

    def uses_of_keys(self, key_ids: Sequence[str]) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of these keys."""
        return read_uses(row for key_id in key_ids for row in self._rows("uses_of_key", key_id))

    def add_revocations(self, entries: Sequence[NewRevocation]) -> list[Revocation]:
        """Add entries to the revocation list."""
        return [Revocation(self._rows("add_revocation", *entry)[0][0], *entry) for entry in entries]

    def _add_lines(self, lines: Sequence[tuple[int, Event]]) -> None:
        """Append events to the audit trail, each with its own instant."""
        for at, event in lines:
            self._run("add_audit", *audit_row(at, event))

    def audit_lines(self, first: int, limit: int) -> list[Line]:
        """The rows of the audit trail from a number on."""
        columns = [name for (name,) in self._rows("audit_columns")]
        rows = (dict(zip(columns, row, strict=True)) for row in self._rows("audit_lines", first, limit))
        return [Line(row, row.pop("mac")) for row in rows]

    def set_audit_macs(self, macs: Sequence[tuple[int, bytes]], at: int) -> None:
        """Chain rows of the audit trail."""
        self._run_many("set_audit_mac", [(mac, at, n) for n, mac in macs])

    def keys_of_ids(self, key_ids: Sequence[str]) -> dict[str, ApiKey]:
        """The API keys that exist among these."""
        found = ((key_id, self.key(key_id)) for key_id in key_ids)
        return {key_id: key for key_id, key in found if key is not None}

    def keys_of_digests(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Of many secrets, whose they are."""
        found = ((digest, self.key_of_digest(digest)) for digest in digests)
        return {digest: key_id for digest, key_id in found if key_id is not None}

    def keys_of_external_ids(self, external_ids: Sequence[str]) -> dict[str, str]:
        """Of many ids of the provider's, whose they are."""
        return dict(row for each in external_ids for row in self._rows("key_of_external_id", each))

    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as the `rows_page` of another store returned them."""
        with storage_errors():
            self._db.executemany(table.add_sql, rows)

    def go_on_from(self, numbers: Numbers) -> None:
        """Set the counters to those of another database."""
        self._run("set_version", numbers.version)
        for table, last in (("revocations", numbers.last_revocation), ("audit", numbers.last_audit)):
            self._run("forget_last_number", table)
            self._run("set_last_number", table, last)

    def migrate(self, now: int) -> list[str]:
        """Apply what is missing, all in one transaction."""
        with storage_errors():
            self._execute("begin immediate")
            try:
                self._execute(
                    "create table if not exists migrations "
                    "(name text primary key, checksum text not null, applied_at integer not null, oldest integer) "
                    "strict"
                )
                pending = self._compare().pending
                if pending and not self._records_oldest():
                    self._execute("alter table migrations add column oldest integer")
                self._apply(pending, now)
                self._execute("commit")
            except BaseException:
                self.rollback()
                raise
        return [each.name for each in pending]

    def is_migrated(self) -> bool:
        """Whether `migrate` ever ran on this database."""
        with storage_errors():
            return bool(self._execute("select 1 from sqlite_schema where name = 'migrations'").fetchall())

    def _compare(self) -> Compared:
        if not self.is_migrated():
            return compare("sqlite", [])
        oldest = "oldest" if self._records_oldest() else "null"
        rows: list[Row] = self._execute(f"select name, checksum, {oldest} from migrations").fetchall()  # noqa: S608
        return compare("sqlite", [Applied(*row) for row in rows])

    def _records_oldest(self) -> bool:
        """Whether the table of migrations has the column `oldest`. Earlier programs made it without."""
        return bool(self._execute("select 1 from pragma_table_info('migrations') where name = 'oldest'").fetchall())


_ADD_GRANT = Q["add_grant"]
_GRANT = Q["grant"]
_ROTATE_GRANT = Q["rotate_grant"]
