"""The mark that a move leaves behind: set last, kept in the database itself, of either kind, and taken off again."""

import pytest
from tests.copy.conftest import NOW, fill

from hourpass.core.errors import ConfigurationError
from hourpass.server.copy import copy, moved_to, require_not_moved
from hourpass.server.store import transaction
from hourpass.server.store.copying import Moved


def mark(store, target="postgresql://h:5432/d", at=NOW) -> None:
    with transaction(store):
        store.mark_moved(Moved(at, target))


def test_a_database_that_was_never_moved_has_no_mark(pair):
    store = fill(pair.source)

    assert moved_to(store) is None
    require_not_moved(store)


def test_a_database_without_a_schema_has_no_mark(pair):
    store = pair.target.open()

    assert moved_to(store) is None
    assert not store.is_migrated()


def test_the_mark_says_when_and_to_which_database_and_is_of_the_latest_move(pair):
    store = fill(pair.source)

    mark(store, "postgresql://a/b", NOW)
    mark(store, "postgresql://c/d", NOW + 1)

    assert moved_to(store) == Moved(NOW + 1, "postgresql://c/d")
    with pytest.raises(ConfigurationError, match=r"was moved to postgresql://c/d: .* hourpass copy --undo"):
        require_not_moved(store)


def test_another_connection_sees_the_mark(pair):
    mark(fill(pair.source))

    assert moved_to(pair.source.open()) is not None


def test_a_mark_is_taken_off_once(pair):
    store = fill(pair.source)
    mark(store)

    with transaction(store):
        assert store.unmark_moved()
    with transaction(store):
        assert not store.unmark_moved()
    assert moved_to(store) is None


def test_a_mark_stays_behind_and_is_not_copied(pair):
    """The old database can still be copied, for instance after a move that went wrong."""
    source, target = fill(pair.source), pair.target.open()
    mark(source)

    copy(source, target, NOW)

    assert moved_to(target) is None
    assert moved_to(source) is not None


def test_a_transaction_that_is_undone_leaves_no_mark(pair):
    store = fill(pair.source)

    with pytest.raises(RuntimeError), transaction(store):
        store.mark_moved(Moved(NOW, "x"))
        raise RuntimeError
    assert moved_to(store) is None


def test_the_name_of_a_database_says_its_kind(pair):
    for database in (pair.source, pair.target):
        assert database.open().name.startswith(("sqlite:/", "postgresql://"))
