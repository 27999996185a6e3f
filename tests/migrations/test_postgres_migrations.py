"""Migrations on PostgreSQL: the same promises as on SQLite, with several nodes that start at once."""

import threading

import pytest
from tests.postgres.cluster import NEWEST, clusters_of

from hourpass.core.actor import Actor
from hourpass.core.errors import ConfigurationError, StorageUnavailable
from hourpass.core.key_events import KeyRevoked
from hourpass.server.store.migrations import load_migrations, number
from hourpass.server.store.postgres import PostgresStore

NOW = 1_800_000_000_000
NAMES = [name for name, _ in load_migrations("postgres")]
COLUMNS = """
select table_name, column_name, data_type, collation_name, is_nullable from information_schema.columns
where table_schema = 'public' and table_name <> 'migrations' order by 1, 2
"""


class Database:
    """An empty database. Its stores are closed with the test."""

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.name = cluster.create_database()
        self.opened: list[PostgresStore] = []

    def connect(self) -> PostgresStore:
        self.opened.append(PostgresStore(self.cluster.url(self.name)))
        return self.opened[-1]

    def rows(self, sql: str, *parameters: object) -> list[tuple]:
        return self.cluster.run(sql, self.name, *parameters)


@pytest.fixture
def database(request):
    database = Database(clusters_of(request.config).shared(NEWEST))
    yield database
    for store in database.opened:
        store.close()


def test_migrations_have_numbers_of_their_own():
    assert len({number(name) for name in NAMES}) == len(NAMES)


def test_the_schema_is_the_sum_of_the_migrations(request, database):
    database.connect().migrate(NOW)
    by_hand = Database(database.cluster)
    for _, sql in load_migrations("postgres"):
        by_hand.rows(sql)

    assert database.rows(COLUMNS) == by_hand.rows(COLUMNS) != []


def test_it_has_the_tables_and_columns_of_the_other_databases(database):
    """The tables that one database alone has serve its way of numbering and its several nodes."""
    import apsw

    sqlite = apsw.Connection(":memory:")
    for _, sql in load_migrations("sqlite"):
        sqlite.execute(sql)
    tables = [name for (name,) in sqlite.execute("select name from sqlite_schema where type = 'table'")]
    theirs = {(table, row[1]) for table in tables for row in sqlite.execute(f"pragma table_info({table})")}
    sqlite.close()
    database.connect().migrate(NOW)
    ours = {(table, column) for table, column, *_ in database.rows(COLUMNS)}

    assert theirs - ours == {("sqlite_sequence", "name"), ("sqlite_sequence", "seq"), ("control", "only")}
    assert {f"{table}.{column}" for table, column in ours - theirs if table != "leases"} == {
        "control.the_row",
        "control.last_revocation",
        "control.last_audit",
        "control.numbered_since",
    }


def test_each_is_noted_once_with_when_it_was_applied(database):
    store = database.connect()

    assert store.pending_migrations() == NAMES
    assert store.migrate(NOW) == NAMES
    assert store.migrate(NOW + 1) == store.pending_migrations() == []
    assert database.rows("select name, applied_at from migrations order by name") == [(name, NOW) for name in NAMES]


def test_asking_for_pending_migrations_changes_nothing(database):
    database.connect().pending_migrations()

    assert database.rows("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


ASK = {"apply": lambda store: store.migrate(NOW), "ask": PostgresStore.pending_migrations}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_a_migration_that_was_altered_after_it_was_applied_is_refused(database, ask):
    store = database.connect()
    store.migrate(NOW)
    database.rows("update migrations set checksum = 'other'")

    with pytest.raises(ConfigurationError, match=f"{NAMES[0]} was altered"):
        ask(store)
    assert database.connect().begin(wait=True)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_a_database_that_is_newer_than_the_program_is_refused(database, ask):
    store = database.connect()
    store.migrate(NOW)
    database.rows("insert into migrations (name, checksum, applied_at) values ('9999_from_the_future', 'checksum', 1)")

    with pytest.raises(ConfigurationError, match="newer than this program: it has migration 9999_from_the_future"):
        ask(store)


def test_a_newer_migration_that_states_this_program_or_an_older_one_is_lived_with(database):
    store = database.connect()
    store.migrate(NOW)
    database.rows("insert into migrations values ('9999_from_the_future', 'checksum', 1, %s)", number(NAMES[-1]))

    assert store.migrate(NOW) == store.pending_migrations() == []
    assert store.newer_migrations() == ["9999_from_the_future"]

    database.rows("update migrations set oldest = %s where name = '9999_from_the_future'", number(NAMES[-1]) + 1)
    with pytest.raises(ConfigurationError, match="newer than this program"):
        store.newer_migrations()


def test_a_table_that_recorded_no_oldest_program_is_added_to_with_the_next_migration(database):
    store = database.connect()
    store.migrate(NOW)
    database.rows("alter table migrations drop column oldest")
    assert store.newer_migrations() == store.migrate(NOW) == []

    database.rows("drop schema public cascade; create schema public")
    database.rows('create table migrations (name text collate "C" primary key, checksum text, applied_at bigint)')

    assert store.migrate(NOW) == NAMES
    assert database.rows("select name, oldest from migrations order by name") == [
        (migration.name, migration.oldest) for migration in load_migrations("postgres")
    ]


def test_a_migration_that_fails_leaves_nothing_behind(database):
    """All in one transaction: a table that is in the way stops the first one half way."""
    database.rows("create table audit (mine integer)")

    with pytest.raises(StorageUnavailable, match='"audit" already exists'):
        database.connect().migrate(NOW)

    assert database.rows("select tablename from pg_tables where schemaname = 'public'") == [("audit",)]


@pytest.mark.parametrize("attempt", range(3))
def test_of_nodes_that_migrate_at_once_one_does_and_the_others_wait(database, attempt):
    stores = [database.connect() for _ in range(4)]
    together, applied = threading.Barrier(4), []

    def migrate(store):
        together.wait(5)
        applied.append(store.migrate(NOW))

    threads = [threading.Thread(target=migrate, args=[store]) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(applied) == [[], [], [], NAMES]


def test_if_nothing_is_pending_a_role_needs_no_right_to_make_tables(database):
    database.connect().migrate(NOW)
    role = f"server_{database.name}"
    database.rows(f"create role {role} login")
    database.rows(f"grant select, insert, update, delete on all tables in schema public to {role}")
    store = PostgresStore(database.cluster.url(database.name).replace("postgres@", f"{role}@"))
    database.opened.append(store)

    assert store.migrate(NOW) == []
    assert store.begin(wait=True)
    store.add_revocation("token", "jti", NOW)
    store.append_audit(NOW, [KeyRevoked("key", "revoked", Actor("test"))])
    store.take_lease("prune", "node", NOW, NOW + 1)
    store.commit()
