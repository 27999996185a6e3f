"""`hourpass migrate`, and what a command that only looks does in its place: nothing."""

import apsw
import pytest


def test_check_names_what_is_to_be_applied_and_fails(hourpass):
    result = hourpass("migrate", "--check", code=1)

    assert result.stdout.splitlines()[0] == "0001_first"
    assert result.stderr.endswith("to apply.\n")


def test_check_makes_no_database(newcomer):
    assert "no database at" in newcomer("migrate", "--check", code=1).stderr
    assert not newcomer.data.exists()


def test_migrate_applies_once(newcomer):
    first, second = newcomer("migrate"), newcomer("migrate")

    assert first.stdout.splitlines()[0] == "0001_first"
    assert (second.stdout, second.stderr) == ("", "0 applied.\n")


def test_check_is_content_with_a_schema_that_is_up_to_date(hourpass):
    hourpass("migrate")

    result = hourpass("migrate", "--check")

    assert (result.stdout, result.stderr) == ("", "0 to apply.\n")


def test_a_command_that_changes_something_migrates_too(hourpass):
    hourpass.create_key()

    hourpass("migrate", "--check")


def forget(hourpass, statement: str) -> str:
    """Make the database one that an older program left, and return all that it holds."""
    with apsw.Connection(str(hourpass.data / "hourpass.db")) as db:
        db.execute(statement)
    return kept(hourpass)


def kept(hourpass) -> str:
    with apsw.Connection(str(hourpass.data / "hourpass.db")) as db:
        tables = [name for (name,) in db.execute("select name from sqlite_schema where type = 'table' order by name")]
        return str([(name, db.execute(f"select * from {name}").fetchall()) for name in tables])


LOOKING = [("keys", "list"), ("secrets", "status")]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("delete from migrations where name = (select max(name) from migrations)", "run hourpass migrate"),
        ("delete from secrets where name = 'rotation'", "a secret of sqlite:"),
        ("delete from secrets", "is empty"),
    ],
    ids=["an older schema", "a secret that is not made yet", "no secret"],
)
def test_a_command_that_only_looks_changes_nothing_and_says_what_is_missing(hourpass, command, statement, says):
    """During an upgrade the new program must not migrate a database because somebody looked at it."""
    hourpass.create_key()
    before = forget(hourpass, statement)

    assert says in hourpass(*command, code=1).stderr

    assert kept(hourpass) == before


def test_a_command_that_only_looks_makes_no_folder(newcomer, tmp_path):
    elsewhere = ("--database", f"sqlite:{tmp_path}/other.db")
    newcomer.create_key(*elsewhere, "--data", str(tmp_path / "other"))

    newcomer("keys", "list", *elsewhere, code=1)

    assert not newcomer.data.exists()
