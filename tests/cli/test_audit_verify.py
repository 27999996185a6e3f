"""`hourpass audit verify`: whether the trail is as it was written, in words and in JSON."""

import re
import sqlite3
from contextlib import closing

import pytest

WHAT_TO_DO = "What to do: the runbook docs/runbooks/audit-trail.md\n"


def sql(hourpass, *statements: str, file: str = "hourpass.db") -> None:
    with closing(sqlite3.connect(hourpass.data / file)) as db, db:
        for statement in statements:
            db.execute(statement)


@pytest.fixture
def trail(hourpass):
    """A trail of four rows without a server: that of the signing key, and three keys'."""
    for _ in range(3):
        hourpass.create_key()
    return hourpass


def test_a_whole_trail_is_0_with_its_rows_and_instants(trail):
    said = trail("audit", "verify").stdout

    assert said.startswith("4 lines, 1 (20")
    assert ": nobody changed, removed, inserted or reordered one.\n" in said
    mac = trail.json("audit", "verify")["chain"]["mac"]
    assert f"The chain ends at line 4, MAC {mac}.\n" in said
    assert "What to do" not in said


def test_commands_chain_what_they_write_so_that_the_trail_is_whole_without_a_server(trail):
    found = trail.json("audit", "verify")

    assert (found["intact"], found["lines"], found["unchained"], found["findings"]) == (True, 4, 0, [])
    assert (found["first"]["number"], found["last"]["number"], found["chain"]["ends_at"]) == (1, 4, 4)


def test_findings_are_1_and_are_named(trail):
    sql(trail, "update audit set detail = '{}' where n = 2", "delete from audit where n = 4")

    result = trail("audit", "verify", code=1)

    assert result.stderr == "line 2 was changed\nthe last line is missing: line 4\n" + WHAT_TO_DO
    assert ": 2 findings.\n" in result.stdout
    assert trail.json("audit", "verify", code=1)["findings"] == [
        {"kind": "changed", "first": 2, "last": 2, "why": "", "text": "line 2 was changed"},
        {"kind": "last_missing", "first": 4, "last": 4, "why": "", "text": "the last line is missing: line 4"},
    ]


def test_a_line_that_verify_names_is_found_in_the_trail_as_people_read_it(trail):
    sql(trail, "update audit set actor = 'cli:eve' where n = 3")

    [named] = re.findall(r"line (\d+) was changed", trail("audit", "verify", code=1).stderr)

    shown = {line.split()[0]: line for line in trail("audit").stdout.splitlines()}
    assert list(shown) == ["1", "2", "3", "4"]
    assert "actor=cli:eve" in shown[named]


def test_a_broken_chain_ends_no_command(trail):
    sql(trail, "delete from audit_chain")

    trail.create_key()

    assert "the record of the chain's ends is missing\n" in trail("audit", "verify", code=1).stderr


def test_a_row_that_nobody_chains_is_named(trail):
    sql(trail, "insert into audit (at, event, detail) values (1, 'key_created', '{}')")

    assert "line 5 has not been chained for " in trail("audit", "verify", code=1).stderr
    trail.create_key()
    assert "Note: line 5 was chained late, or its instant is wrong: by " in trail("audit", "verify").stdout
    assert [each["first"] for each in trail.json("audit", "verify")["late"]] == [5]


def test_a_backup_and_what_is_restored_from_it_are_whole(trail, tmp_path):
    backup = tmp_path / "backup.db"
    trail("backup", str(backup))
    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    (restored / "master.key").write_bytes((trail.data / "master.key").read_bytes())
    (restored / "master.key").chmod(0o600)

    trail("restore", str(backup), "--data", str(restored))

    found = trail.json("audit", "verify", "--data", str(restored))
    assert (found["intact"], found["lines"], found["unchained"]) == (True, 5, 0)
    sql(trail, "update audit set at = 0 where n = 3")
    assert trail.json("audit", "verify", code=1)["intact"] is False


NOT_CHAINED = "the record of the chain's ends is missing, and so is its secret: the trail is not chained\n"


@pytest.mark.parametrize(
    "command", [("audit", "verify"), ("audit",), ("keys", "list"), ("secrets", "status")], ids=" ".join
)
def test_a_command_that_only_looks_begins_no_chain_and_a_chain_that_is_gone_is_found(trail, command):
    """Otherwise verifying would repair what it should report."""
    sql(trail, "update audit set mac = null, chained_at = null", "delete from audit_chain")
    sql(trail, "delete from secrets where name = 'trail'")

    trail(*command, code=1 if command == ("audit", "verify") else 0)

    assert trail("audit", "verify", code=1).stderr == NOT_CHAINED + WHAT_TO_DO
    with closing(sqlite3.connect(trail.data / "hourpass.db")) as db:
        assert db.execute("select count(*) from secrets where name = 'trail'").fetchone() == (0,)


def test_a_chain_that_is_gone_but_for_its_macs_is_found_without_its_secret(trail):
    sql(trail, "delete from audit_chain", "delete from secrets where name = 'trail'")

    assert trail("audit", "verify", code=1).stderr.startswith(NOT_CHAINED)


def test_a_trail_of_an_older_program_is_chained_by_the_first_change_and_says_since_when(trail):
    """As after the migration: nothing is chained, and the secret does not exist."""
    sql(trail, "update audit set mac = null", "delete from audit_chain", "delete from secrets where name = 'trail'")

    assert "4 lines at the end: not chained yet." in trail("audit", "verify", code=1).stdout
    trail.create_key()

    said = trail("audit", "verify").stdout
    assert said.startswith("5 lines, ")
    assert "Lines up to 4 were there when it began, on 20" in said


def test_another_master_key_changes_nothing_of_the_chain(trail):
    trail("master-key", "rotate", "--yes")

    found = trail.json("audit", "verify")
    assert (found["intact"], found["lines"], found["unchained"]) == (True, 5, 0)
