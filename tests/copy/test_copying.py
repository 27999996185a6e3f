"""A copy is the whole installation as it was at one moment, in any kind of database, and proven to have arrived."""

import hashlib

import msgspec
import pytest
from tests.contract.conftest import NOW, make_grant
from tests.copy.conftest import MASTER, Pair, Sqlite, content, fill, seen

from hourpass.core.actor import Actor
from hourpass.core.key_events import KeyRevoked
from hourpass.server.copy import PAGE, copy
from hourpass.server.store import transaction
from hourpass.server.store.copying import Numbers
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.store.tables import TABLES


def test_every_row_of_every_table_arrives(pair):
    source, target = fill(pair.source), pair.target.open()

    copy(source, target, NOW, master=MASTER)

    assert content(pair.target) == content(pair.source)
    assert all(content(pair.target).values())


def test_it_says_how_many_rows_each_table_has_and_what_their_digest_is(pair):
    source = fill(pair.source)
    rows = {name: [tuple(row) for row in rows] for name, rows in content(pair.source).items()}

    copied = copy(source, pair.target.open(), NOW)

    assert [(table, n) for table, n, _ in copied] == [(name, len(found)) for name, found in rows.items()]
    digests = [hashlib.sha256(b"".join(map(msgspec.msgpack.encode, found))).hexdigest() for found in rows.values()]
    assert [digest for _, _, digest in copied] == digests


def test_a_copy_of_a_copy_is_the_same(mixed, tmp_path, request):
    """There and back: nothing is lost in another kind of database."""
    back = Sqlite(tmp_path / "back", request.config)
    first = copy(fill(mixed.source), mixed.target.open(), NOW)

    assert copy(mixed.target.open(), back.open(), NOW) == first
    assert content(back) == content(mixed.source)
    back.close()


def test_more_rows_than_a_page_arrive_and_progress_is_told_after_each_page(mixed):
    source = fill(mixed.source, grants=2 * PAGE + 1)
    told = []

    copied = copy(source, mixed.target.open(), NOW, progress=lambda *step: told.append(step))

    total = 2 * PAGE + 1
    assert [step for step in told if step[0] == "grants"] == [
        ("grants", PAGE, total),
        ("grants", 2 * PAGE, total),
        ("grants", total, total),
    ]
    assert {table.table: table.rows for table in copied}["grants"] == total
    assert content(mixed.target) == content(mixed.source)


def test_it_is_of_one_moment_although_others_write_meanwhile(pair):
    source, beside = fill(pair.source), pair.source.connect()
    before = content(pair.source)

    def write(table: str, rows: int, total: int) -> None:
        if table == "secrets":
            with transaction(beside):
                beside.add_grants([make_grant(99)])
                beside.add_revocation("token", "late", NOW + 9)
                beside.append_audit(NOW, [KeyRevoked("late", "revoked", Actor("test"))])

    copied = copy(source, pair.target.open(), NOW, progress=write)

    assert content(pair.target) == before != content(pair.source)
    assert [table.rows for table in copied] == [len(rows) for rows in before.values()]


def test_numbers_go_on_even_after_those_that_are_gone(pair):
    """A reader of the feed would believe that it knows a number that is given twice."""
    source, target = fill(pair.source), pair.target.open()
    lines = seen(source, lambda store: store.control().last_audit)

    copy(source, target, NOW)

    with transaction(target):
        assert target.add_revocation("token", "next", NOW + 9).n == 4
        target.append_audit(NOW, [KeyRevoked("next", "revoked", Actor("test"))])
    assert seen(target, lambda store: store.control().last_audit) == lines + 1
    ours, theirs = seen(source, lambda store: store.numbers()), seen(target, lambda store: store.numbers())
    assert ours[:3] == (ours.version, 3, lines)
    assert theirs[:3] == (ours.version, 4, lines + 1)


@pytest.mark.parametrize(
    ("theirs", "now", "begun"),
    [(0, NOW, NOW + 1_000), (0, NOW + 999, NOW + 1_000), (NOW + 5_000, NOW, NOW + 6_000)],
    ids=["on the second", "within it", "the source's clock was ahead"],
)
def test_the_numbers_of_a_copy_begin_later_than_any_server_started(theirs, now, begun, tmp_path, request):
    """Epochs are whole seconds. One that is not later than its readers' is taken for a rolled-back feed."""
    pair = Pair("postgres to postgres", tmp_path, request.config)
    source, target = fill(pair.source), pair.target.open()
    pair.source.run(f"update control set numbered_since = {theirs}")

    copy(source, target, now)

    assert seen(target, lambda store: store.numbers()).numbered_since == begun
    pair.close()


def test_a_store_that_does_not_keep_since_when_it_numbers_says_so(tmp_path, request):
    store = Sqlite(tmp_path / "one", request.config).connect()

    assert seen(store, lambda store: store.numbers()) == Numbers(0, 0, 0, 0)
    store.close()


def test_a_file_that_is_read_only_is_left_as_it_is(tmp_path, request):
    pair = [Sqlite(tmp_path / name, request.config) for name in ("source", "target")]
    fill(pair[0])
    pair[0].close()
    before = pair[0].path.read_bytes()
    source = SqliteStore(pair[0].path, read_only=True)

    copy(source, pair[1].open(), NOW)

    source.close()
    assert pair[0].path.read_bytes() == before
    assert content(pair[1]) == content(pair[0])
    pair[1].close()


def test_every_column_of_either_kind_of_database_is_copied(mixed):
    """A migration that adds one must add it to the tables that are copied."""
    mixed.source.connect()
    ours = {(table.name, column) for table in TABLES for column in table.columns}
    if isinstance(mixed.source, Sqlite):
        sql = "select m.name, c.name from sqlite_schema m, pragma_table_info(m.name) c where m.type = 'table'"
    else:
        sql = "select table_name, column_name from information_schema.columns where table_schema = 'public'"

    there = {(table, column) for table, column in mixed.source.rows(sql)}

    not_moved = {"control", "leases", "migrations", "moved", "one_time_links", "sign_ins", "sqlite_sequence"}
    assert {(table, column) for table, column in there if table not in not_moved} == ours
