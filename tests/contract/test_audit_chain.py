"""The chain over the audit trail in real databases: `verify` names the row that somebody changed with SQL."""

import os
import threading
from contextlib import closing

import pytest
from tests.contract.conftest import NOW, Postgres, PostgresSerializable, SqliteOnFile
from tests.contract.trail import ACTOR, MASTER, Trail

from hourpass.core.audit_chain import ChainBroken
from hourpass.core.grant_events import GrantsClosed
from hourpass.core.policy import MINUTE, Policy
from hourpass.server.copy import copy
from hourpass.server.keys.audit_chain import TOGETHER, chain_rows, chain_state
from hourpass.server.keys.replacing import rotate_secret
from hourpass.server.keys.signing_keys import prepare
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore


@pytest.fixture(params=[SqliteOnFile, Postgres])
def kind(request, tmp_path):
    """A database of both kinds."""
    database = request.param(tmp_path, request.config)
    yield database
    database.close()


@pytest.fixture
def trail(kind):
    """Rows 1 to 12, all chained."""
    trail = Trail(kind)
    trail.write(11)
    trail.chain()
    return trail


def test_an_untouched_trail_is_whole_with_its_numbers_and_instants(trail):
    verified = trail.verified()

    assert (verified.findings, verified.rows, verified.unchained) == ([], 12, 0)
    assert (verified.first, verified.last) == ((1, NOW), (12, NOW))


TAMPERING = {
    "an instant": (["update audit set at = at + 1 where n = 5"], ["line 5 was changed"]),
    "an event": (["update audit set event = 'other' where n = 1"], ["line 1 was changed"]),
    "an actor": (["update audit set actor = 'cli:eve' where n = 12"], ["line 12 was changed"]),
    "an address": (["update audit set address = null where n = 5"], ["line 5 was changed"]),
    "a request": (["update audit set request_id = '' where n = 5"], ["line 5 was changed"]),
    "a key": (["update audit set key_id = null where n = 5"], ["line 5 was changed"]),
    "a grant": (["update audit set grant_id = 'g' where n = 5"], ["line 5 was changed"]),
    "a detail": (["update audit set detail = '{}' where n = 5"], ["line 5 was changed"]),
    "a MAC": (["update audit set mac = null where n = 5"], ["line 5 was changed"]),
    "two rows": (["update audit set at = 0 where n in (4, 9)"], ["line 4 was changed", "line 9 was changed"]),
    "the first removed": (["delete from audit where n = 1"], ["line 1 is missing"]),
    "some removed": (["delete from audit where n in (5, 6, 7)"], ["lines 5 to 7 are missing"]),
    "the last removed": (["delete from audit where n > 9"], ["the last 3 lines are missing: lines 10 to 12"]),
    "all removed": (["delete from audit"], ["the last 12 lines are missing: lines 1 to 12"]),
    "two swapped": (
        [
            "update audit set n = 99 where n = 5",
            "update audit set n = 5 where n = 6",
            "update audit set n = 6 where n = 99",
        ],
        ["lines 5 to 7 were changed or put into another order"],
    ),
    "one put in between": (
        [
            "update audit set n = n + 100 where n >= 5",
            "update audit set n = n - 99 where n > 100",
            "insert into audit (n, at, event, detail, mac) select 5, at, 'forged', detail, mac from audit where n = 4",
        ],
        ["line 5 was inserted: the lines after that have other numbers now"],
    ),
    "one put before the first": (
        ["insert into audit (n, at, event, detail) values (-9223372036854775808, 0, 'forged', '{}')"],
        ["line -9223372036854775808 was inserted: lines up to 0 were pruned"],
    ),
    "one put after the last": (
        ["insert into audit (n, at, event, detail, mac) select 13, at, 'forged', detail, mac from audit where n = 4"],
        ["line 13 was inserted: the chain ends at line 12"],
    ),
    "the ends": (
        ["update audit_chain set head_n = 10, head_mac = (select mac from audit where n = 10)"],
        ["the record of the chain's ends was changed"],
    ),
    "no ends": (["delete from audit_chain"], ["the record of the chain's ends is missing"]),
}


@pytest.mark.parametrize(("statements", "said"), TAMPERING.values(), ids=TAMPERING)
def test_tampering_is_found_and_named(trail, statements, said):
    trail.sql(*statements)

    assert trail.says() == said


def test_after_pruning_the_trail_is_whole_and_tampering_is_found_as_before(trail):
    trail.write(5, at=NOW + MINUTE)
    trail.chain()

    assert trail.prune(NOW + 1, limit=4) == 4
    assert trail.says() == []
    assert trail.prune(NOW + 1) == 8
    assert trail.prune(NOW + 1) == 0
    assert trail.verified().first == (13, NOW + MINUTE)
    assert trail.says() == []

    trail.sql("update audit set at = 0 where n = 15", "delete from audit where n = 13")
    assert trail.says() == ["line 13 is missing", "line 15 was changed"]


BACK_DATED = {
    "as many as should go": ["update audit set at = 1000 where n <= 9"],
    "with the instants of their MACs": ["update audit set at = 1000, chained_at = 1000 where n <= 9"],
    "with rows removed before them": ["update audit set at = 1000 where n = 6", "delete from audit where n < 6"],
    "without their MACs": ["update audit set at = 1000, chained_at = 1000, mac = null where n <= 9"],
    "one put before them": ["insert into audit (n, at, event, detail) values (-5, 1000, 'forged', '{}')"],
}


@pytest.mark.parametrize("statements", BACK_DATED.values(), ids=BACK_DATED)
def test_pruning_deletes_nothing_that_was_dated_back(trail, statements):
    """Otherwise the server itself would take the evidence away, and make the anchor fit."""
    trail.sql(*statements)
    before = trail.says()
    assert before

    with pytest.raises(ChainBroken, match="line "):
        trail.prune(NOW - MINUTE)
    assert trail.says() == before


def test_rows_that_were_dated_back_before_they_were_chained_are_not_pruned_either(trail):
    trail.prune(NOW + 1)
    trail.write(3)
    trail.sql("update audit set at = 1000 where n > 12")
    trail.chain()

    assert trail.prune(NOW) == 0
    assert [str(finding) for finding in trail.verified().late] != []


def test_rows_that_are_not_chained_yet_are_not_pruned(trail):
    trail.write()

    assert trail.prune(NOW + 1) == 12
    assert trail.verified().first == (13, NOW)
    trail.chain()
    assert trail.says() == []


def test_the_ends_from_an_earlier_moment_are_found_and_nothing_is_chained_from_there(trail):
    trail.sql("create table earlier as select * from audit_chain")
    trail.write(3)
    trail.chain()
    trail.sql("delete from audit_chain", "insert into audit_chain select * from earlier", "drop table earlier")

    assert trail.says() == ["the record of the chain's ends is an older one: it ends at line 12"]
    trail.sql("update audit set detail = '{}' where n = 14")
    with pytest.raises(ChainBroken, match="line 14 has a MAC"):
        trail.chain()


def test_rows_that_were_chained_again_from_earlier_ends_are_noted_with_their_delay(trail):
    """Who has an earlier record of the ends can change what came later. But he cannot make a MAC of that time."""
    trail.sql("create table earlier as select * from audit_chain")
    trail.write(3)
    trail.chain()
    trail.sql("delete from audit_chain", "insert into audit_chain select * from earlier", "drop table earlier")
    trail.sql("update audit set mac = null where n > 12", "update audit set event = 'forged' where n = 14")
    trail.chain(NOW + MINUTE)

    verified = trail.verified()
    assert verified.findings == []
    assert list(map(str, verified.late)) == ["lines 13 to 15 were chained late, or their instants are wrong: by 60 s"]
    trail.sql("update audit set chained_at = at where n > 12")
    assert trail.says() == ["lines 13 to 15 were changed or put into another order"]


@pytest.mark.parametrize("broken", ["delete from audit_chain", "update audit_chain set began_n = 12"])
def test_a_chain_without_genuine_ends_neither_goes_on_nor_is_pruned_nor_begins_again(trail, broken):
    trail.sql(broken)
    trail.write()

    with transaction(trail.store):
        prepare(trail.store, MASTER, "Ed25519", NOW, Policy(), os.urandom, serving=True)
    with pytest.raises(ChainBroken):
        trail.chain()
    with pytest.raises(ChainBroken):
        trail.prune(NOW + 1)


def test_without_the_secret_that_made_it_the_chain_is_not_believed(trail):
    trail.sql("delete from secrets where name = 'trail'")
    with transaction(trail.store):
        trail.secrets = prepare(trail.store, MASTER, "Ed25519", NOW, Policy(), os.urandom, serving=True)

    assert trail.says()[0] == "the secret that made the chain is missing"
    with pytest.raises(ChainBroken):
        trail.chain()


def test_a_row_is_late_after_five_seconds(trail):
    trail.write(2, at=NOW + 1_000)

    assert trail.verified(NOW + 6_000).unchained == 2
    assert trail.says(NOW + 6_000) == []
    assert trail.says(NOW + 7_000) == ["lines 13 to 14 have not been chained for 6 s"]


def test_many_rows_are_chained_a_few_at_a_time(kind):
    trail = Trail(kind)
    trail.write(TOGETHER + 3)

    with transaction(trail.store):
        assert chain_rows(trail.store, trail.secrets, NOW)
        assert chain_state(trail.store, trail.secrets, NOW)[:2] == (TOGETHER + 1, TOGETHER + 4)
        assert not chain_rows(trail.store, trail.secrets, NOW)
    assert trail.says() == []


def test_a_new_secret_goes_on_with_the_chain_even_if_nothing_is_written(trail):
    with transaction(trail.store):
        rotate_secret(trail.store, trail.secrets, "trail", NOW + MINUTE, os.urandom, actor=ACTOR)
    trail.chain(NOW + MINUTE)
    later = NOW + 3 * MINUTE
    trail.secrets.turn(later)

    assert "still ends under the secret" in trail.says(later)[0]
    trail.chain(later)
    assert trail.says(later) == []


def test_lines_of_older_programs_are_chained_as_they_are_and_verified_from_then_on(kind):
    """Rows from before the migration, and rows that such a program writes beside us."""
    store = kind.connect()
    with transaction(store):
        store.append_audit(NOW - MINUTE, [GrantsClosed("old", 1, ACTOR)] * 3)
    trail = Trail(kind)
    old = "insert into audit (n, at, event, key_id, detail) values (5, 1, 'key_created', 'k', '{\"actor\": \"cli:x\"}')"
    count = "update control set last_audit = 5" if isinstance(kind, Postgres) else "select 1"
    trail.sql(old, count)
    trail.chain()

    verified = trail.verified()
    assert (verified.findings, verified.rows, verified.ends.began_n) == ([], 5, 3)
    trail.sql("update audit set detail = '{}' where n in (2, 5)")
    assert trail.says() == ["line 2 was changed", "line 5 was changed"]


def test_a_column_that_a_later_version_adds_is_covered_and_changes_nothing_of_the_rows_before(trail):
    trail.sql("alter table audit add column newer text")
    try:
        trail.write()
        trail.sql("update audit set newer = 'x' where n = 13")
        trail.chain()

        assert trail.says() == []
        trail.sql("update audit set newer = 'y' where n = 13")
        assert trail.says() == ["line 13 was changed"]
    finally:
        trail.store.rollback()
        trail.sql("alter table audit drop column newer")


def test_the_chain_comes_along_into_a_copy_and_back(trail, tmp_path):
    trail.prune(NOW + 1, limit=2)
    trail.write(2)
    target = SqliteStore(tmp_path / "copy.db")
    with closing(target):
        copy(trail.store, target, NOW, master=MASTER)
        trail.store = target
        assert trail.says() == []
        trail.chain()
        assert (trail.says(), trail.verified().rows) == ([], 12)


@pytest.fixture
def strict(request, tmp_path):
    database = PostgresSerializable(tmp_path, request.config)
    yield database
    database.close()


def test_two_that_chain_at_once_take_turns(strict):
    """The transaction that waits sees what the other one chained, and goes on from there."""
    trail = Trail(strict)
    trail.write(3)
    second = strict.connect()
    trail.store.begin(wait=True)
    chain_rows(trail.store, trail.secrets, NOW)

    def chain() -> None:
        with transaction(second):
            chain_rows(second, trail.secrets, NOW)

    other = threading.Thread(target=chain)
    other.start()
    other.join(0.2)
    assert other.is_alive()
    trail.store.commit()
    other.join()

    assert trail.says() == []
