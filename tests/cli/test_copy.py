"""`hourpass copy`: output, exit codes, and the database that is meant if one is left out."""

import apsw
import pytest
from tests.postgres.cluster import NEWEST, clusters_of

from hourpass.server.store.tables import TABLES


@pytest.fixture
def postgres(request):
    """The URL of an empty database."""
    cluster = clusters_of(request.config).shared(NEWEST)
    return cluster.url(cluster.create_database())


@pytest.fixture
def files(tmp_path):
    """URLs of SQLite files by name."""
    return lambda name: f"sqlite:{tmp_path / name}.db"


def test_it_prints_what_was_copied_and_says_what_is_not_in_the_copy(hourpass, api_key, files):
    hourpass.exchange(api_key)

    result = hourpass("copy", "--to", files("other"))

    lines = [line.split()[:2] for line in result.stdout.splitlines()]
    stats = next(line for line in lines if line[0] == "stats")
    assert 0 <= int(stats.pop()) <= 2  # a row for each minute in which the server exchanged the key
    assert lines == [
        ["table", "rows"], ["secrets", "4"], ["signing_keys", "1"], ["api_keys", "1"], ["key_secrets", "1"],
        ["slow_hashes", "0"], ["key_hashes", "0"], ["key_leaks", "0"], ["key_uses", "1"],
        ["grants", "1"], ["webhooks", "0"], ["webhook_deliveries", "0"],
        ["revocations", "0"], ["stats"], ["measured", "0"], ["expiry_notices", "0"],
        ["idempotent_calls", "0"], ["audit", "2"],
        ["audit_chain", "1"],
    ]  # fmt: skip
    assert "What happened there since is not in the copy" in result.stderr
    assert "the same master key" in result.stderr
    assert "not checked" not in result.stderr


def test_json_has_the_moment_the_numbers_of_rows_and_whole_digests(hourpass, api_key, files):
    found = hourpass.json("copy", "--to", files("other"))

    assert [table["table"] for table in found["tables"]] == [table.name for table in TABLES]
    assert {len(table["sha256"]) for table in found["tables"]} == {64}
    assert found["master_key_opens_it"] is True
    assert found["as_of"].endswith("Z")


def test_to_postgresql_and_back_is_the_same_and_the_key_is_still_good(hourpass, api_key, files, postgres):
    there = hourpass.json("copy", "--from", f"sqlite:{hourpass.data}/hourpass.db", "--to", postgres)
    back = hourpass.json("copy", "--from", postgres, "--to", files("back"))

    assert back["tables"] == there["tables"]
    assert hourpass.json("keys", "list", "--database", postgres) == hourpass.json("keys", "list")
    assert hourpass.json("keys", "list", "--database", files("back")) == hourpass.json("keys", "list")


def test_the_one_that_is_left_out_is_the_configured_database(hourpass, api_key, files, postgres, tmp_path):
    """A URL with a password stays off the command line."""
    (tmp_path / "url").write_text(postgres)
    configured = {"HOURPASS_DATABASE_URL_FILE": str(tmp_path / "url")}

    hourpass("copy", "--from", f"sqlite:{hourpass.data}/hourpass.db", env=configured)
    hourpass("copy", "--to", files("back"), env=configured)

    assert len(hourpass.json("keys", "list", "--database", files("back"))) == 1


@pytest.mark.parametrize("arguments", [(), ("--from", "mysql://x"), ("--to", "hourpass.db")], ids=" ".join)
def test_wrong_usage_is_2(hourpass, arguments):
    hourpass("copy", *arguments, code=2)


def test_a_target_that_is_not_empty_is_1_and_left_alone(hourpass, api_key, files):
    hourpass("copy", "--to", files("other"))

    result = hourpass("copy", "--to", files("other"), code=1)

    assert "the target is not empty" in result.stderr
    assert result.stdout == ""


def test_a_row_that_the_target_does_not_keep_is_1(hourpass, api_key, files, tmp_path):
    """A database may alter the rows that it is given."""
    hourpass("migrate", "--database", files("other"))
    db = apsw.Connection(str(tmp_path / "other.db"))
    db.execute("create trigger lose after insert on api_keys begin delete from api_keys; end")

    result = hourpass("copy", "--to", files("other"), code=1)

    assert result.stderr.endswith("hourpass: api_keys: 1 rows were sent, 0 have arrived; nothing was copied\n")
    assert db.execute("select count(*) from secrets").fetchall() == [(0,)]
    db.close()


def test_a_source_that_is_missing_is_1_and_is_not_made(hourpass, files, tmp_path):
    result = hourpass("copy", "--from", files("misspelt"), "--to", files("other"), code=1)

    assert "no database at" in result.stderr
    assert not list(tmp_path.glob("misspelt*"))


def test_a_source_that_is_not_a_database_is_1(hourpass, files, tmp_path):
    (tmp_path / "letter.db").write_text("this is a letter, not a database, and long enough to be looked at" * 40)

    assert "not a database" in hourpass("copy", "--from", files("letter"), "--to", files("other"), code=1).stderr


def test_without_the_master_key_it_copies_and_says_that_it_was_not_tried(hourpass, api_key, files):
    (hourpass.data / "master.key").rename(hourpass.data / "elsewhere")

    result = hourpass("copy", "--to", files("other"), "--json")

    assert '"master_key_opens_it": false' in result.stdout
    assert "Whether the master key opens the secrets was not checked: " in result.stderr


def test_another_master_key_is_1(hourpass, api_key, files):
    other = {"HOURPASS_MASTER_KEY": "A" * 43 + "="}

    result = hourpass("copy", "--to", files("other"), env=other, code=1)

    assert "the master key does not open this database's pepper" in result.stderr
