"""The tables that hold an installation, for the code that copies all of it. Every database has the same ones.

Six tables are not here, because they are not copied row by row. `control` holds the counters, which are set instead.
`leases` end by themselves. `migrations` and `moved` describe the history of one database. `sign_ins` and
`one_time_links` end with it: nobody stays signed in to the console of a copy, and no backup lets anybody in.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from hourpass.server.store.connection import DatabaseConnection, Row


class Table(NamedTuple):
    """A table: in SQL the columns of its primary key and the others. `start` sorts before every primary key."""

    name: str
    key: str
    rest: str
    start: tuple[str | bytes | int, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of a row that is copied."""
        return tuple(f"{self.key}, {self.rest}".split(", "))

    def key_of(self, row: Row) -> Row:
        """The primary key of a row that is copied."""
        return row[: len(self.start)]

    # The SQL is made only from the names in this file, so nothing can be injected.

    @property
    def count_sql(self) -> str:
        """The statement that counts the rows."""
        return f"select count(*) from {self.name}"  # noqa: S608

    @property
    def page_sql(self) -> str:
        """The statement that reads the rows after a primary key, in order. The last parameter is the limit."""
        after = ", ".join("?" * len(self.start))
        return f"select {self.key}, {self.rest} from {self.name} where ({self.key}) > ({after}) order by {self.key} limit ?"  # noqa: S608, E501

    @property
    def add_sql(self) -> str:
        """The statement that adds a row."""
        values = ", ".join("?" * len(self.columns))
        return f"insert into {self.name} ({self.key}, {self.rest}) values ({values})"  # noqa: S608


API_KEYS = Table(
    "api_keys",
    "key_id",
    "name, digest, subject, scope, environment, audience, retry_window, allowed_ips, "
    "created_at, expires_at, revoked_at, more_audiences, claims, tags, access_token_lifetime, self_rotation, "
    "external_id, raw_until, raw_until_set_at, valid_from, tokens_from, disabled_at, revoked_why, "
    "admin, subject_prefix, max_scope",
    ("",),
)

KEY_SECRETS = Table(
    "key_secrets", "digest", "key_id, n, created_at, first_used_at, ends_at, seed, overlap, pepper", (b"",)
)

SLOW_HASHES = Table("slow_hashes", "lookup, key_id", "algorithm, hash, created_at", ("", ""))

TABLES = (
    Table("secrets", "name, kid", "sealed, created_at, sealed_by", ("", "")),
    Table("signing_keys", "kid", "algorithm, published_at, signs_from, retired_at, sealed, sealed_by", ("",)),
    API_KEYS,
    KEY_SECRETS,
    SLOW_HASHES,
    Table("key_hashes", "algorithm", "created_at", ("",)),
    Table("key_leaks", "digest", "key_id, at", (b"",)),
    Table("key_uses", "key_id, kind", "at, address", ("", "")),
    Table(
        "grants",
        "key_id, grant_id",
        "generation, seed, superseded, scope, created_at, idle_expires_at, expires_at, revoked_at, revoked_why, "
        "last_from, opened_from, audience",
        ("", b""),
    ),
    Table(
        "webhooks",
        "webhook_id",
        "url, events, description, created_at, seeds, delivered, revision, failing_since, disabled_at, disabled_why",
        ("",),
    ),
    Table("webhook_deliveries", "webhook_id, at, number", "event, result, status, took", ("", 0, 0)),
    Table("revocations", "n", "kind, value, until, issued_before", (0,)),
    Table(
        "stats",
        "minute, node",
        "exchanges, refreshes, retries, replays, refusals, raw_accepted, raw_refused, bearer_accepted, verify_refused, "
        "unavailable, failures",
        (-1, ""),
    ),
    Table("measured", "name", "value, at", ("",)),
    Table("expiry_notices", "days", "expires_at, key_id", (-1,)),
    Table(
        "idempotent_calls",
        "digest",
        "fingerprint, seed, until, status, headers, body, secret_at, secret_digest",
        (b"",),
    ),
    Table("audit", "n", "at, event, key_id, grant_id, detail, actor, address, request_id, mac, chained_at", (0,)),
    Table(
        "audit_chain",
        "the_row",
        "began_at, began_n, anchor_n, anchor_mac, head_n, head_mac, kid, mac",
        (0,),
    ),
)
"""In the order in which they are copied."""


class TableStore(DatabaseConnection):
    """What is asked about rows as they are, by the code that copies them or adds many."""

    def count_rows(self, table: Table) -> int:
        """How many rows a table has, however long it takes to count them."""
        return int(self._fetch(table.count_sql)[0][0])

    def rows_page(self, table: Table, after: Row, limit: int) -> list[Row]:
        """A table's rows after a primary key, in the order of the keys, with the columns in the table's order."""
        return self._fetch(table.page_sql, *after, limit)

    @abstractmethod
    def add_rows(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows as the `rows_page` of another store returned them."""
