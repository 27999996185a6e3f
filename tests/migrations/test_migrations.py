"""The schema is the sum of its migrations: each applied once, in order, whole, and never altered afterwards."""

import subprocess
import sys
import threading

import apsw
import pytest

from hourpass.core.errors import ConfigurationError, StorageUnavailable
from hourpass.server.store.migrations import Applied, Migration, checksum, compare, load_migrations, number
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.store.tables import TABLES

NOW = 1_800_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hourpass.db"


@pytest.fixture
def connect(path):
    """Opens stores on one file, and closes them with the test."""
    opened: list[SqliteStore] = []

    def connect() -> SqliteStore:
        opened.append(SqliteStore(path))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


def rows(path, sql: str, *parameters) -> list[tuple]:
    db = apsw.Connection(str(path))
    try:
        return db.execute(sql, parameters).fetchall()
    finally:
        db.close()


def schema(path) -> list[tuple]:
    return rows(
        path, "select type, name, sql from sqlite_schema where name <> 'migrations' and sql <> '' order by name"
    )


NAMES = [name for name, _ in load_migrations("sqlite")]
TABLE_NAMES = ("control", "moved", "sign_ins", "one_time_links", *(table.name for table in TABLES))
FROM_THE_FUTURE = "insert into migrations (name, checksum, applied_at) values ('9999_from_the_future', 'checksum', 1)"


# A migration states the oldest program that can live with it.


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_migration_after_the_first_states_the_oldest_program_that_can_live_with_it(dialect):
    for position, migration in enumerate(load_migrations(dialect)[1:], start=2):
        assert migration.sql.startswith("-- oldest: ")
        assert 1 <= migration.oldest <= position


@pytest.mark.parametrize(
    ("first_line", "oldest"),
    [("-- oldest: 0001", 1), ("-- oldest: 0041", 41), ("-- A comment.", 42), ("-- oldest: one", 42), ("", 42)],
)
def test_without_such_a_line_older_programs_cannot_live_with_a_migration(first_line, oldest):
    assert Migration("0042_more", f"{first_line}\ncreate table more (a integer);\n").oldest == oldest


LEVEL = number(NAMES[-1])
OURS = [Applied(name, checksum(sql), None) for name, sql in load_migrations("sqlite")]


@pytest.mark.parametrize("oldest", range(1, LEVEL + 1))
def test_a_program_lives_with_newer_migrations_that_state_it_or_an_older_one(oldest):
    newer = [Applied("9998_more", "checksum", oldest), Applied("9999_most", "checksum", oldest)]

    assert compare("sqlite", [*newer, *OURS]) == ([], ["9998_more", "9999_most"])


@pytest.mark.parametrize("oldest", [LEVEL + 1, 9_999, None])
def test_a_program_does_not_live_with_a_migration_that_needs_a_newer_one_or_states_none(oldest):
    newer = [Applied("9998_more", "checksum", oldest), Applied("9999_most", "checksum", 1)]

    with pytest.raises(ConfigurationError, match="newer than this program: it has migration 9998_more"):
        compare("sqlite", [*OURS, *newer])


def test_the_oldest_program_that_a_migration_states_is_recorded_with_it(connect, path):
    connect().migrate(NOW)

    assert rows(path, "select name, oldest from migrations order by name") == [
        (migration.name, migration.oldest) for migration in load_migrations("sqlite")
    ]


def test_a_table_that_recorded_nothing_of_it_is_added_to_with_the_next_migration(connect, path):
    connect().migrate(NOW)
    rows(path, "alter table migrations drop column oldest")
    assert connect().newer_migrations() == connect().migrate(NOW) == []

    rows(path, "delete from migrations; " + "".join(f"drop table {name}; " for name in TABLE_NAMES))

    assert connect().migrate(NOW) == NAMES
    assert rows(path, "select count(oldest) from migrations") == [(len(NAMES),)]


def test_migrations_have_numbers_of_their_own():
    assert len({number(name) for name in NAMES}) == len(NAMES)


def test_the_schema_is_the_sum_of_the_migrations(connect, path, tmp_path):
    """Nothing makes tables but the numbered files."""
    connect().migrate(NOW)
    by_hand = tmp_path / "by-hand.db"
    for _, sql in load_migrations("sqlite"):
        rows(by_hand, sql)

    assert schema(path) == schema(by_hand) != []


def test_each_is_noted_with_when_it_was_applied(connect, path):
    assert connect().migrate(NOW) == NAMES
    assert rows(path, "select name, applied_at from migrations order by name") == [(name, NOW) for name in NAMES]


def test_applying_them_again_changes_nothing(connect, path):
    store = connect()
    store.migrate(NOW)
    before = rows(path, "select * from migrations"), schema(path)

    assert store.migrate(NOW + 1) == []
    assert connect().migrate(NOW + 2) == []
    assert (rows(path, "select * from migrations"), schema(path)) == before


def test_a_migration_is_pending_until_it_is_applied(connect):
    store = connect()
    assert store.pending_migrations() == NAMES

    store.migrate(NOW)

    assert store.pending_migrations() == []
    assert connect().pending_migrations() == []


def test_asking_for_pending_migrations_changes_nothing(connect, path):
    connect().pending_migrations()

    assert schema(path) == []


def test_data_survives_a_second_migration(connect, path):
    store = connect()
    store.migrate(NOW)
    rows(path, "update control set version = 41")
    store.migrate(NOW)

    store.begin_reading()
    assert store.control().version == 41
    store.commit()


@pytest.mark.parametrize(
    "ask", [lambda store: store.migrate(NOW), SqliteStore.pending_migrations], ids=["apply", "ask"]
)
def test_a_migration_that_was_altered_after_it_was_applied_is_refused(connect, path, ask):
    store = connect()
    store.migrate(NOW)
    rows(path, "update migrations set checksum = ? where name = ?", "0" * 64, NAMES[0])

    with pytest.raises(ConfigurationError, match=f"{NAMES[0]} was altered"):
        ask(store)


@pytest.mark.parametrize(
    "ask", [lambda store: store.migrate(NOW), SqliteStore.pending_migrations], ids=["apply", "ask"]
)
def test_a_database_that_is_newer_than_the_program_is_refused(connect, path, ask):
    """An older program does not know what it would break, unless the migration states it."""
    store = connect()
    store.migrate(NOW)
    rows(path, FROM_THE_FUTURE)

    with pytest.raises(ConfigurationError, match="newer than this program: it has migration 9999_from_the_future"):
        ask(store)


def test_a_refusal_leaves_the_database_free(connect, path):
    store = connect()
    store.migrate(NOW)
    rows(path, FROM_THE_FUTURE)
    with pytest.raises(ConfigurationError):
        store.migrate(NOW)

    assert connect().begin(wait=False) is True


def test_a_migration_that_fails_leaves_nothing_behind(connect, path):
    """All in one transaction: a table that is in the way stops the first one half way."""
    store = connect()
    rows(path, "create table audit (mine)")

    with pytest.raises(StorageUnavailable, match="audit already exists"):
        store.migrate(NOW)

    assert schema(path) == [("table", "audit", "CREATE TABLE audit (mine)")]
    assert rows(path, "select name from sqlite_schema where name = 'migrations'") == []


def test_a_file_that_is_not_a_database_is_refused(path):
    path.write_bytes(b"this is a letter, not a database, and long enough to be looked at" * 40)

    with pytest.raises(StorageUnavailable, match="not a database"):
        SqliteStore(path)


MIGRATE = """
import sys
from hourpass.server.store.sqlite import SqliteStore
sys.stdin.readline()
print(SqliteStore(sys.argv[1]).migrate(1))
"""


def migrate_at_once(path, count: int) -> list[tuple[int, str]]:
    """Start processes that all migrate at one signal, and return the exit code of each and what it applied."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=30)[0].strip() for process in processes]
    return sorted((process.returncode, line) for process, line in zip(processes, said, strict=True))


@pytest.mark.parametrize("attempt", range(3))
def test_of_processes_that_migrate_at_once_one_does_and_the_others_wait(connect, path, attempt):
    """First starts, a command beside a server, several nodes: nobody coordinates them."""
    connect()

    assert migrate_at_once(path, 3) == sorted([(0, str(NAMES)), (0, "[]"), (0, "[]")])
    assert rows(path, "select name from migrations") == [(name,) for name in NAMES]


def test_opening_a_new_file_waits_for_another_process_that_is_setting_it_up(connect, path):
    """Two first starts at once: SQLite's own waiting does not cover the switch to the write-ahead log."""
    other = apsw.Connection(str(path))
    other.execute("begin immediate; create table mine (a)")
    release = threading.Timer(0.1, other.execute, ["commit"])
    release.start()

    try:
        assert connect().migrate(NOW) == NAMES
    finally:
        release.join()
        other.close()
