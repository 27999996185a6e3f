"""Files that others can write or read are refused by every command that opens them, before anything is done."""

import os
from base64 import b64encode

import pytest

from hourpass.ownership import AS_SERVER

OPENING = [
    ("serve", "--port", "0", "--admin-listen", "off"),
    ("keys", "create", "--name", "x"),
    ("keys", "list"),
    ("signing-keys", "rotate"),
    ("audit",),
    ("migrate",),
    ("config", "check"),
]
each_command = pytest.mark.parametrize("arguments", OPENING, ids=lambda arguments: " ".join(arguments[:2]))


@pytest.fixture
def installed(hourpass, was_started):
    return hourpass


def refusal(hourpass, *arguments, **options) -> str:
    result = hourpass(*arguments, code=1, **options)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@each_command
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_data_folder_that_others_can_write_into_is_refused(installed, arguments, mode):
    installed.data.chmod(mode)

    assert f"chmod go-w {installed.data}" in refusal(installed, *arguments)


@each_command
def test_a_database_that_is_open_to_others_is_refused(installed, arguments):
    (installed.data / "hourpass.db").chmod(0o666)

    assert f"chmod 600 {installed.data}/hourpass.db" in refusal(installed, *arguments)


@each_command
def test_a_log_that_is_open_to_others_is_refused(installed, arguments):
    (installed.data / "hourpass.db-wal").touch(mode=0o600)
    (installed.data / "hourpass.db-wal").chmod(0o666)

    assert f"chmod 600 {installed.data}/hourpass.db-wal" in refusal(installed, *arguments)


@pytest.mark.parametrize("mode", [0o666, 0o640, 0o604])
@pytest.mark.parametrize("arguments", [each for each in OPENING if each[0] != "migrate"], ids=" ".join)
def test_a_master_key_that_is_open_to_others_is_refused(installed, arguments, mode):
    (installed.data / "master.key").chmod(mode)

    assert f"chmod 600 {installed.data}/master.key" in refusal(installed, *arguments)


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_master_key_that_is_a_link_is_refused(installed, target):
    (installed.data / "master.key").rename(installed.data / "elsewhere")
    (installed.data / "master.key").symlink_to(installed.data / target)

    assert "master.key is a link" in refusal(installed, "keys", "list")


def test_a_link_to_a_master_key_is_refused_on_the_first_start_too(hourpass):
    (hourpass.data / "master.key").symlink_to(hourpass.data / "nowhere")

    assert "master.key is a link" in refusal(hourpass, "signing-keys", "rotate")


@pytest.mark.parametrize("name", ["", "hourpass.db", "master.key"])
def test_a_file_of_another_user_is_refused(installed, name):
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs root")
    os.chown(installed.data / name, 54_321, -1)

    told = refusal(installed, "serve", "--port", "0")

    assert "belongs to 54321: run this as 54321 (sudo -u '#54321'" in told


NAMING = [*OPENING, ("master-key", "status"), ("master-key", "rotate", "--yes"), ("backup", "x.db"), ("config", "show")]
"""Every way to a settings file, which may name a program that prints the master key."""


@pytest.fixture
def trap(installed, tmp_path):
    """The settings file, with a program that leaves a mark. At the end there must be no mark."""
    program, mark = tmp_path / "kms", tmp_path / "ran"
    key = (installed.data / "master.key").read_text()
    program.write_text(f"#!/bin/sh\ntouch {mark}\necho {key}\n")
    program.chmod(0o755)
    file = installed.data / "hourpass.toml"
    file.write_text(f'master_key_command = ["{program}"]\n')
    installed("keys", "list")
    mark.unlink()  # it runs, if all is well
    yield file
    assert not mark.exists()


@pytest.mark.parametrize("fault", ["all can write the file", "folder and file", "folder", "file"])
def test_no_command_runs_a_program_that_somebody_else_may_have_named(installed, trap, fault):
    if fault == "all can write the file":
        trap.chmod(0o666)
        expected = f"hourpass: others can write {trap} (mode 0666): chmod go-w {trap}\n"
    else:
        if os.geteuid() != 0:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs root")
        for path in [installed.data] * ("folder" in fault) + [trap] * ("file" in fault):
            os.chown(path, 54_321, -1)
        path, also = (installed.data, AS_SERVER) if "folder" in fault else (trap, "")
        take = "" if path is installed.data else f", or chown root {path}"
        expected = f"hourpass: {path} belongs to 54321: run this as 54321 (sudo -u '#54321'{also}){take}\n"

    assert {arguments: refusal(installed, *arguments) for arguments in NAMING} == dict.fromkeys(NAMING, expected)


@pytest.mark.parametrize("way", ["--config", "HOURPASS_CONFIG"])
@pytest.mark.parametrize("fault", ["file", "data folder"])
def test_a_settings_file_elsewhere_is_judged_by_the_same_rule(installed, trap, tmp_path, way, fault):
    elsewhere = tmp_path / "elsewhere.toml"
    trap.rename(elsewhere)
    (elsewhere if fault == "file" else installed.data).chmod(0o777)
    flag, environment = (["--config", str(elsewhere)], {}) if way == "--config" else ([], {way: str(elsewhere)})

    told = refusal(installed, "config", "check", *flag, env=environment)

    assert f"chmod go-w {elsewhere if fault == 'file' else installed.data}" in told


def test_a_data_folder_may_be_a_link(installed, tmp_path):
    (tmp_path / "link").symlink_to(installed.data)

    installed("keys", "list", "--data", str(tmp_path / "link"))


def test_a_mounted_secret_is_used_and_one_that_everyone_can_read_gets_a_note(hourpass, tmp_path):
    """As Kubernetes mounts it: links, and 0440 with an fsGroup or 0644 without."""
    (tmp_path / "..data").mkdir()
    secret = tmp_path / "..data/master-key"
    secret.write_text(b64encode(bytes(32)).decode())
    (tmp_path / "master-key").symlink_to("..data/master-key")
    environment = {"HOURPASS_MASTER_KEY_FILE": str(tmp_path / "master-key")}

    secret.chmod(0o440)
    hourpass("keys", "create", "--name", "x", env=environment)
    assert hourpass("signing-keys", "list", env=environment).stderr == ""
    secret.chmod(0o644)
    assert "everyone on this machine can read" in hourpass("keys", "list", env=environment).stderr
    secret.chmod(0o666)
    told = refusal(hourpass, "keys", "list", env=environment)
    assert told.startswith("hourpass: HOURPASS_MASTER_KEY_FILE: others can write")


@pytest.mark.parametrize(("mode", "code"), [(0o400, 0), (0o440, 0), (0o660, 1)])
def test_a_systemd_credential_is_used_unless_others_can_write_it(hourpass, tmp_path, mode, code):
    """systemd.exec(5): of root, in a folder of the unit. An ACL for the unit's user shows as the group's bits."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "hourpass-master-key").write_text(b64encode(bytes(32)).decode())
    (folder / "hourpass-master-key").chmod(mode)

    hourpass("keys", "create", "--name", "x", env={"CREDENTIALS_DIRECTORY": str(folder)}, code=code)
    assert not (hourpass.data / "master.key").exists()
