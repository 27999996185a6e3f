"""Refused copies: onto something, from nothing, between schemas, under another master key, and with lost rows."""

import pytest
from tests.contract.conftest import NOW, make_key
from tests.copy.conftest import MASTER, content, fill, seen

from hourpass.core.errors import ConfigurationError, StorageUnavailable
from hourpass.server.copy import CopyDiffers, copy
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.store import transaction
from hourpass.server.store.tables import TABLES


def is_empty(pair) -> bool:
    """Whether the target holds nothing, and nobody holds it."""
    target = pair.target.open()
    with transaction(target):
        return target.numbers()[:3] == (0, 0, 0) and not any(target.count_rows(table) for table in TABLES)


def test_a_target_that_holds_anything_is_left_alone(pair):
    source, target = fill(pair.source), pair.target.connect()
    with transaction(target):
        target.add_key(make_key("0aZkey000003"))
    before = content(pair.target)

    with pytest.raises(ConfigurationError, match=r"not empty \(rows: api_keys 1, key_secrets 1\)"):
        copy(source, target, NOW)

    assert content(pair.target) == before


def test_a_database_is_not_copied_onto_itself(pair):
    fill(pair.source)
    before = content(pair.source)

    with pytest.raises(ConfigurationError, match="not empty"):
        copy(pair.source.open(), pair.source.open(), NOW)

    assert content(pair.source) == before


def test_a_source_that_holds_nothing_is_probably_a_misspelt_one(pair):
    with pytest.raises(ConfigurationError, match="the source is empty"):
        copy(pair.source.connect(), pair.target.open(), NOW)

    assert is_empty(pair)


def test_a_database_that_was_never_migrated_is_refused_as_a_source(pair):
    with pytest.raises(ConfigurationError, match="not a hourpass database"):
        copy(pair.source.open(), pair.target.open(), NOW)


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_schema_that_is_behind_is_migrated_by_its_operator_first(pair, which):
    source, target = fill(pair.source), pair.target.connect()
    getattr(pair, which).rows("delete from migrations where name = (select max(name) from migrations)")

    with pytest.raises(ConfigurationError, match=rf"the {which} is behind this program \(\d{{4}}_\w+\)"):
        copy(source, target, NOW)


@pytest.mark.parametrize("oldest", ["1", "9999"], ids=["that it can live with", "that it cannot live with"])
@pytest.mark.parametrize("which", ["source", "target"])
def test_a_schema_that_is_ahead_needs_a_newer_program(pair, which, oldest):
    """This program would leave out a table that a newer one added."""
    source, target = fill(pair.source), pair.target.connect()
    getattr(pair, which).rows(f"insert into migrations values ('9999_from_the_future', 'checksum', 1, {oldest})")

    with pytest.raises(ConfigurationError, match="newer than this program: it has migration 9999_from_the_future"):
        copy(source, target, NOW)


def test_secrets_that_the_master_key_does_not_open_are_not_copied(pair):
    source = fill(pair.source)

    with pytest.raises(ConfigurationError, match="the master key does not open this database's import_hmac k1"):
        copy(source, pair.target.open(), NOW, master=MasterKey(bytes(32)))

    assert is_empty(pair)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("update secrets set sealed = %s where name = 'refresh' and kid = 'first'", "refresh secret first"),
        ("update signing_keys set sealed = %s where kid = 'second'", "signing key second"),
    ],
    ids=["an old refresh secret", "a signing key"],
)
def test_every_sealed_secret_must_open(mixed, sql, named):
    source = fill(mixed.source)
    mixed.source.rows(sql % "(select sealed from secrets where name = 'pepper')")

    with pytest.raises(ConfigurationError, match=f"the master key does not open this database's {named}"):
        copy(source, mixed.target.open(), NOW, master=MASTER)

    copy(source, mixed.target.open(), NOW)


class Unfaithful:
    """A store through which something happens to rows on their way."""

    def __init__(self, store, *, give=None, take=None) -> None:
        self._store = store
        self._give = give or (lambda rows: rows)
        self._take = take or (lambda rows: rows)

    def __getattr__(self, name):
        return getattr(self._store, name)

    def rows_page(self, table, after, limit):
        rows = self._store.rows_page(table, after, limit)
        return self._give(rows) if table.name == "grants" else rows

    def add_rows(self, table, rows):
        self._store.add_rows(table, self._take(rows) if table.name == "grants" else rows)


def test_a_row_that_the_source_announces_and_does_not_give_is_missed(pair):
    source, target = fill(pair.source), pair.target.open()

    with pytest.raises(CopyDiffers, match="grants: the source has 5 rows, but gave 4; nothing was copied"):
        copy(Unfaithful(source, give=lambda rows: rows[1:]), target, NOW)

    assert is_empty(pair)


def test_a_row_that_does_not_arrive_is_missed(pair):
    source, target = fill(pair.source), pair.target.open()

    with pytest.raises(CopyDiffers, match="grants: 5 rows were sent, 4 have arrived; nothing was copied"):
        copy(source, Unfaithful(target, take=lambda rows: rows[1:]), NOW)

    assert is_empty(pair)


def test_a_row_that_is_altered_on_its_way_is_noticed(pair):
    """One bit of a generation would turn an honest client into a thief."""
    source, target = fill(pair.source), pair.target.open()

    def alter(rows):
        *others, (key_id, grant_id, generation, *rest) = rows
        return [*others, (key_id, grant_id, generation + 1, *rest)]

    with pytest.raises(CopyDiffers, match="grants: the rows that arrived differ from those that were sent"):
        copy(source, Unfaithful(target, take=alter), NOW)

    assert is_empty(pair)


def test_nobody_else_gets_to_write_into_the_target_meanwhile(pair):
    """A server that starts on it must wait, and fails rather than make an installation of its own."""
    source, target = fill(pair.source), pair.target.connect()
    newcomer, tried = pair.target.open(), []

    def start(table: str, rows: int, total: int) -> None:
        if table == "audit":
            with pytest.raises(StorageUnavailable):
                newcomer.begin(wait=True)
            tried.append(table)

    copy(source, target, NOW, progress=start)

    assert tried == ["audit"]
    assert seen(newcomer, lambda store: store.sealed_secrets("pepper")) == seen(
        source, lambda store: store.sealed_secrets("pepper")
    )
