"""`hourpass master-key`: the ids of the keys, and how another one takes its place. No command prints a key."""

import base64
import os
import sqlite3
import stat
from contextlib import closing

import pytest

from hourpass.server.keys.master_key import id_of_key


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def id_of(key: str) -> str:
    return id_of_key(base64.b64decode(key))


def file_of(hourpass) -> list[str]:
    return (hourpass.data / "master.key").read_text().split()


@pytest.fixture
def installed(hourpass):
    """An installation with one API key."""
    hourpass.create_key()
    return hourpass


def test_status_names_the_key_by_an_id_and_never_shows_it(installed):
    [key] = file_of(installed)

    shown = installed("master-key", "status")

    assert id_of(key) in shown.stdout
    assert key not in shown.stdout + shown.stderr
    assert installed.json("master-key", "status") == [{"key_id": id_of(key), "given": True, "values": 5}]


def test_one_command_replaces_the_file_beside_a_sqlite_database(installed):
    [old] = file_of(installed)

    done = installed("master-key", "rotate", "--yes")

    [new] = file_of(installed)
    assert new != old
    assert stat.S_IMODE((installed.data / "master.key").stat().st_mode) == 0o600
    assert old not in done.stdout + done.stderr
    assert new not in done.stdout + done.stderr
    assert installed.json("master-key", "status") == [{"key_id": id_of(new), "given": True, "values": 5}]
    assert installed.json("audit", "--last", "1")[0]["event"] == "master_key.rotated"


def test_it_asks_first_because_backups_need_the_old_key(installed):
    [old] = file_of(installed)

    refused = installed("master-key", "rotate", code=2)

    assert "--yes" in refused.stderr
    assert file_of(installed) == [old]


def test_tokens_and_keys_from_before_are_good_afterwards(hourpass, api_key):
    pair = hourpass.exchange(api_key, seconds_ago=600)

    hourpass("master-key", "rotate", "--yes")

    assert hourpass.refresh(pair.refresh_token).access_token
    assert hourpass.exchange(api_key).access_token


def test_a_backup_from_before_needs_the_old_key(installed, tmp_path):
    [old] = file_of(installed)
    installed("backup", str(tmp_path / "backup.db"))
    installed("master-key", "rotate", "--yes")
    [new] = file_of(installed)
    elsewhere = tmp_path / "restored"
    elsewhere.mkdir(mode=0o700)

    def restore(keys: str, code: int = 0):
        return installed(
            "restore",
            str(tmp_path / "backup.db"),
            "--data",
            str(elsewhere),
            env={"HOURPASS_MASTER_KEY": keys},
            code=code,
        )

    assert f"needs the key {id_of(old)}, and has {id_of(new)}" in restore(new, code=1).stderr
    restore(f"{new} {old}")
    keys = {"HOURPASS_MASTER_KEY": f"{new} {old}", "HOURPASS_DATA": str(elsewhere)}
    assert [each["values"] for each in installed.json("master-key", "status", env=keys)] == [0, 5]
    installed("master-key", "rotate", env=keys)
    assert installed.json("keys", "list", env={**keys, "HOURPASS_MASTER_KEY": new})


def test_status_of_a_backup_leaves_it_as_it_is(installed, tmp_path):
    backup = tmp_path / "backup.db"
    installed("backup", str(backup))
    before = backup.read_bytes()

    there = {"HOURPASS_DATABASE_URL": f"sqlite:{backup}"}
    assert installed.json("master-key", "status", env=there)[0]["values"] == 5

    assert backup.read_bytes() == before
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup.db"]


def test_without_a_database_the_commands_ask_for_one_and_not_for_its_key(hourpass, tmp_path):
    nowhere = {"HOURPASS_DATA": str(tmp_path / "nowhere")}
    for arguments in (("status",), ("rotate", "--yes")):
        told = hourpass("master-key", *arguments, env=nowhere, code=1).stderr
        assert told.endswith("nowhere/hourpass.db: start the server, or name its data folder with --data\n")
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_key_is_told_with_how_the_server_may_get_it(installed):
    (installed.data / "master.key").unlink()

    for arguments in (("status",), ("rotate", "--yes")):
        told = installed("master-key", *arguments, code=1).stderr
        assert "master.key is missing, and this database's secrets are sealed with it: put it back, or give" in told
    assert not (installed.data / "master.key").exists()


def test_of_a_backup_from_before_status_says_only_which_key_is_needed(installed, tmp_path):
    [old] = file_of(installed)
    installed("backup", str(tmp_path / "backup.db"))
    installed("master-key", "rotate", "--yes")
    [new] = file_of(installed)

    told = installed("master-key", "status", "--database", f"sqlite:{tmp_path}/backup.db").stderr

    assert told.splitlines() == [
        f"{id_of(new)} seals nothing here.",
        f"{id_of(old)} is needed and not given: give it, alone or after the others.",
    ]


def test_status_of_a_database_from_before_says_that_it_is_behind(installed):
    with closing(sqlite3.connect(installed.data / "hourpass.db")) as db, db:
        db.execute("delete from migrations where name like '0009%'")

    assert "0009_replaceable_secrets): migrate it first" in installed("master-key", "status", code=1).stderr


def test_a_backup_from_afterwards_needs_the_new_key(installed, tmp_path):
    [old] = file_of(installed)
    installed("master-key", "rotate", "--yes")
    installed("backup", str(tmp_path / "backup.db"))

    with_old = {"HOURPASS_MASTER_KEY": old, "HOURPASS_DATABASE_URL": f"sqlite:{tmp_path}/backup.db"}
    assert installed.json("master-key", "status", env=with_old)[1]["given"] is False
    assert "needs the key" in installed("backup", str(tmp_path / "again.db"), env=with_old, code=1).stderr


class Elsewhere:
    """An installation whose master key comes from the environment or from a credential."""

    def __init__(self, hourpass, place: str) -> None:
        self._hourpass = hourpass
        self._place = place
        self._folder = hourpass.data.parent / "credentials"
        self._folder.mkdir(mode=0o700)

    def __call__(self, keys: list[str], *arguments: str, code: int = 0):
        return self._hourpass(*arguments, env=self._environment(keys), code=code)

    def status(self, keys: list[str]) -> list[tuple]:
        found = self._hourpass.json("master-key", "status", env=self._environment(keys))
        return [(each["key_id"], each["given"], each["values"]) for each in found]

    def _environment(self, keys: list[str]) -> dict[str, str]:
        file = self._folder / "hourpass-master-key"
        match self._place:
            case "variable":
                return {"HOURPASS_MASTER_KEY": " ".join(keys)}
            case "named file":
                file.write_text("\n".join(keys) + "\n")
                return {"HOURPASS_MASTER_KEY_FILE": str(file)}
            case _:
                file.write_text("\n".join(keys) + "\n")
                return {"CREDENTIALS_DIRECTORY": str(self._folder)}


@pytest.mark.parametrize("place", ["variable", "named file", "credential"])
def test_elsewhere_both_keys_are_given_then_rotate_then_the_old_one_is_dropped(hourpass, place):
    old, new = new_key(), new_key()
    there = Elsewhere(hourpass, place)
    there([old], "keys", "create", "--name", "x")
    assert there.status([new, old]) == [(id_of(new), True, 0), (id_of(old), True, 5)]
    there([new, old], "keys", "create", "--name", "before it is done")
    there([old], "keys", "list")

    said = there([new, old], "master-key", "rotate").stderr

    assert f"{id_of(old)} is not needed any more" in said
    assert there.status([new]) == [(id_of(new), True, 5)]
    there([new], "keys", "list")
    assert id_of(new) in there([old], "keys", "list", code=1).stderr
    assert not (hourpass.data / "master.key").exists()


def test_with_one_key_from_elsewhere_it_says_what_to_do_first(hourpass):
    key = new_key()
    there = Elsewhere(hourpass, "variable")
    there([key], "keys", "create", "--name", "x")

    assert "give the new one before it" in there([key], "master-key", "rotate", code=1).stderr


def test_the_old_key_before_the_new_one_changes_nothing(hourpass):
    """The first key is the one to go over to: a second run never goes back to the old one."""
    old, new = new_key(), new_key()
    there = Elsewhere(hourpass, "variable")
    there([old], "keys", "create", "--name", "x")

    there([old, new], "master-key", "rotate")

    assert there.status([old]) == [(id_of(old), True, 5)]


def test_a_word_that_is_not_a_key_is_refused_without_being_repeated(installed):
    [key] = file_of(installed)
    (installed.data / "master.key").write_text(f"{key}\nnot-base64!\n")

    refused = installed("keys", "list", code=1).stderr

    assert "not base64" in refused
    assert "not-base64!" not in refused
    assert key not in refused


def test_what_a_killed_rotation_left_is_gone_after_the_next_one_at_once(installed):
    left = installed.data / ".master.key.0123456789abcdef.tmp"
    left.write_text(f"{new_key()}\n{new_key()}\n")

    installed("master-key", "rotate", "--yes")

    assert not left.exists()


@pytest.mark.parametrize("open_to_others", ["", "master.key"])
def test_nothing_is_made_in_a_folder_or_beside_a_key_that_is_not_ours_alone(installed, open_to_others):
    (installed.data / open_to_others).chmod(0o777 if not open_to_others else 0o644)
    before = sorted(installed.data.iterdir())

    assert "chmod" in installed("master-key", "rotate", "--yes", code=1).stderr

    assert sorted(installed.data.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_root_leaves_nothing_in_the_folder_of_another_user(installed):
    os.chown(installed.data, 65534, 65534)
    before = sorted(installed.data.iterdir())

    assert "run this as" in installed("master-key", "rotate", "--yes", code=1).stderr

    assert sorted(installed.data.iterdir()) == before


def test_only_its_owner_can_read_the_lock(installed):
    installed("master-key", "rotate", "--yes")

    for lock in installed.data.glob("*.lock"):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert (installed.data / "master.key.lock").exists()


def test_a_second_database_in_the_data_folder_does_not_lose_its_key(installed, tmp_path):
    other = f"sqlite:{tmp_path / 'other.db'}"
    (tmp_path / "other.db").touch(mode=0o600)
    tmp_path.chmod(0o700)
    installed("keys", "create", "--name", "x", "--database", other)
    [key] = file_of(installed)

    refused = installed("master-key", "rotate", "--yes", "--database", other, code=1)

    assert "give each database a data folder of its own" in refused.stderr
    assert file_of(installed) == [key]
    # The folder's own database by another name is not another one.
    installed(
        "master-key", "rotate", "--yes", "--database", f"sqlite:{installed.data}/../{installed.data.name}/hourpass.db"
    )
    assert file_of(installed) != [key]
