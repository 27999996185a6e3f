"""`hourpass backup` and `hourpass restore`: a file of its own that overwrites nothing, and an installation from it."""

import stat

import apsw
import pytest
from tests.postgres.cluster import NEWEST, clusters_of

from hourpass.core.errors import InvalidGrant
from hourpass.server.transport.request import Request


@pytest.fixture
def file(tmp_path):
    return tmp_path / "kept" / "backup.db"


@pytest.fixture
def kept(file):
    """The folder of the backups."""
    file.parent.mkdir()
    return file.parent


def test_a_backup_is_one_file_for_its_owner_alone(hourpass, api_key, file, kept):
    result = hourpass("backup", str(file), umask=0)

    assert [path.name for path in kept.iterdir()] == ["backup.db"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert result.stdout.splitlines()[3].split()[:2] == ["api_keys", "1"]
    assert "worth nothing without the master key" in result.stderr


def test_a_backup_holds_no_secret_that_is_not_sealed(hourpass, api_key, file, kept):
    hourpass("backup", str(file))
    content = file.read_bytes()

    assert api_key.encode() not in content
    assert (hourpass.data / "master.key").read_bytes().strip() not in content


def restored(hourpass, file, *flags):
    """The installation as it is after its database was lost."""
    for database in hourpass.data.glob("hourpass.db*"):
        database.unlink()
    return hourpass("restore", str(file), *flags)


def verified(hourpass, pair):
    """The status of forward auth on a server with that database."""

    async def ask(server):
        await server.app.issuer.verification.observe(server.clock())
        request = Request("GET", "/", b"", ((b"authorization", b"Bearer " + pair.access_token),), "127.0.0.1")
        return (await server.app.authorize(request, "")).status

    return hourpass.with_server(ask)


def test_a_restore_ends_every_grant_and_access_token_and_clients_exchange_again(hourpass, api_key, file, kept):
    """A refresh token that a thief copied before the backup would be current again, and the theft would never show."""
    stolen = hourpass.exchange(api_key)
    hourpass("backup", str(file))
    hourpass.refresh(stolen.refresh_token)

    said = restored(hourpass, file).stderr

    assert "All grants have ended (1)" in said
    assert verified(hourpass, stolen) == 401
    with pytest.raises(InvalidGrant, match="revoked"):
        hourpass.refresh(stolen.refresh_token)
    assert verified(hourpass, hourpass.exchange(api_key)) == 204
    assert [grant["state"] for grant in hourpass.json("grants", "list", "--all")] == ["restored", "live"]


def test_a_restore_is_in_the_trail(hourpass, api_key, file, kept):
    hourpass.exchange(api_key)
    hourpass("backup", str(file))
    restored(hourpass, file)

    last = hourpass.json("audit")[-1]

    assert (last["event"], last["grants_ended"]) == ("restored", 1)


def test_keep_grants_lets_a_restored_backup_go_on(hourpass, api_key, file, kept):
    first = hourpass.exchange(api_key)
    second = hourpass.refresh(first.refresh_token)
    hourpass("backup", str(file))

    result = restored(hourpass, file, "--keep-grants")

    assert "revoke again" in result.stderr
    assert verified(hourpass, second) == 204
    assert hourpass.refresh(second.refresh_token)
    assert hourpass.exchange(api_key)


def test_a_backup_can_be_restored_from_a_read_only_folder(hourpass, api_key, file, kept, tmp_path):
    """Neither a log nor a lock is made beside it."""
    hourpass("backup", str(file))
    before = file.read_bytes()
    file.chmod(0o400)
    kept.chmod(0o500)

    hourpass("restore", str(file), "--data", str(tmp_path / "new"))

    assert [path.name for path in kept.iterdir()] == ["backup.db"]
    assert file.read_bytes() == before
    kept.chmod(0o700)


def test_a_backup_of_postgresql_is_the_same_kind_of_file(hourpass, api_key, file, kept, request, tmp_path):
    cluster = clusters_of(request.config).shared(NEWEST)
    first, second = (cluster.url(cluster.create_database()) for _ in range(2))
    hourpass("copy", "--to", first)
    hourpass("backup", str(file), "--database", first)

    hourpass("restore", str(file), "--database", second)
    hourpass("restore", str(file), "--data", str(tmp_path / "new"))

    keys = hourpass.json("keys", "list")
    assert hourpass.json("keys", "list", "--database", second) == keys
    (tmp_path / "new" / "master.key").write_bytes((hourpass.data / "master.key").read_bytes())
    (tmp_path / "new" / "master.key").chmod(0o600)
    assert hourpass.json("keys", "list", "--data", str(tmp_path / "new")) == keys


@pytest.mark.parametrize("taken_by", ["a file", "a folder", "a dangling link"])
def test_a_name_that_is_taken_is_1_and_left_alone(hourpass, api_key, file, kept, taken_by):
    if taken_by == "a file":
        file.write_text("the only copy of something")
    elif taken_by == "a folder":
        file.mkdir()
    else:
        file.symlink_to("nowhere")
    before = [(path.name, path.lstat().st_ino, path.lstat().st_mtime_ns) for path in kept.iterdir()]

    result = hourpass("backup", str(file), code=1)

    assert "exists already: a backup never overwrites a file" in result.stderr
    assert [(path.name, path.lstat().st_ino, path.lstat().st_mtime_ns) for path in kept.iterdir()] == before


def test_a_backup_that_fails_leaves_no_file(hourpass, file, kept):
    hourpass("migrate")

    assert "the source is empty" in hourpass("backup", str(file), code=1).stderr
    assert list(kept.iterdir()) == []


def test_a_folder_that_is_missing_is_1(hourpass, api_key, file):
    assert "No such file" in hourpass("backup", str(file), code=1).stderr


def test_a_misspelt_data_folder_is_1_and_is_not_made(hourpass, file, kept, tmp_path):
    result = hourpass("backup", str(file), "--data", str(tmp_path / "misspelt"), code=1)

    assert "no database at" in result.stderr
    assert not (tmp_path / "misspelt").exists()
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_file_must_be_named(hourpass, command):
    hourpass(command, code=2)


def test_an_installation_that_is_not_empty_is_not_restored_over(hourpass, api_key, file, kept):
    hourpass("backup", str(file))
    hourpass("keys", "create", "--name", "later")

    assert "the target is not empty" in hourpass("restore", str(file), code=1).stderr
    assert len(hourpass.json("keys", "list")) == 2


def test_a_backup_of_another_schema_is_migrated_first(hourpass, api_key, file, kept, tmp_path):
    hourpass("backup", str(file))
    db = apsw.Connection(str(file))
    db.execute("delete from migrations where name = (select max(name) from migrations)")
    db.close()

    result = hourpass("restore", str(file), "--data", str(tmp_path / "new"), code=1)

    assert "the source is behind this program" in result.stderr


def test_a_backup_under_another_master_key_is_1(hourpass, api_key, file, kept, tmp_path):
    hourpass("backup", str(file))
    other = {"HOURPASS_MASTER_KEY": "A" * 43 + "="}

    result = hourpass("restore", str(file), "--data", str(tmp_path / "new"), env=other, code=1)

    assert "the master key does not open this database's pepper" in result.stderr
