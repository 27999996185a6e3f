"""The server trusts only its own files: nobody else can write them, nor read its secrets."""

import os
import pwd
import socket
import tempfile
from pathlib import Path

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.ownership import (
    BESIDE_A_DATABASE,
    note_on_readers,
    read_named_file,
    read_own_file,
    require_own_database,
    require_own_folder,
    trusted_socket,
)

STRANGER = 54_321
US = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def give_away():
    """Makes a file another user's, which only root can."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs root")
    return lambda path: os.chown(path, STRANGER, -1, follow_symlinks=False)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def listening(folder):
    """The path of a unix socket."""
    path = folder / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield path


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o2750])
def test_a_socket_of_ours_in_a_folder_of_ours_is_trusted(listening, mode):
    with_mode(listening.parent, mode)
    link = listening.parent.parent / "link"
    link.symlink_to(listening)

    assert trusted_socket(listening) == trusted_socket(link) == listening


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777, 0o702])
def test_a_socket_is_not_trusted_if_others_can_put_one_there(listening, mode):
    told = f"others can write into {with_mode(listening.parent, mode)} (mode {mode:04o})"

    assert refusal(trusted_socket, listening) == f"{told}, so they could read what you send to {listening}"


def test_a_folder_that_others_can_take_away_is_not_trusted(listening):
    with_mode(listening.parent.parent, 0o777)
    assert refusal(trusted_socket, listening).startswith(f"others can write into {listening.parent.parent} ")
    with_mode(listening.parent.parent, 0o1777)
    trusted_socket(listening)


def test_a_socket_or_a_folder_of_somebody_else_is_not_trusted_below_tmp(listening, give_away, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(listening)
    give_away(listening)
    told = f"belongs to {STRANGER}, who could read what you send to"
    for path in (listening, link):
        assert refusal(trusted_socket, path) == f"{listening} {told} {path}"
    give_away(listening.parent)
    assert told in refusal(trusted_socket, listening)
    os.chown(listening, os.geteuid(), -1)
    assert refusal(trusted_socket, listening) == f"{listening.parent} {told} {listening}"


def test_a_socket_of_the_user_to_whom_root_gave_its_folder_is_trusted(give_away):
    with tempfile.TemporaryDirectory(dir="/var") as made, socket.socket(socket.AF_UNIX) as listener:
        path = Path(made) / "admin.sock"
        listener.bind(str(path))
        give_away(path)
        assert f"{path} belongs to" in refusal(trusted_socket, path)
        give_away(path.parent)
        trusted_socket(path)


@pytest.fixture
def file(folder):
    path = folder / "a file"
    path.touch(mode=0o600)
    path.write_text("content")
    return path


def refusal(check, path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check(path)
    return caught.value.detail


def with_mode(path: Path, mode: int) -> Path:
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o500, 0o711, 0o2700])
def test_a_folder_that_only_we_can_write_into_is_good(folder, mode):
    require_own_folder(with_mode(folder, mode))


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o770, 0o720, 0o702, 0o1777, 0o2770])
def test_a_folder_that_others_can_write_into_is_refused_with_the_command(folder, mode):
    assert f"(mode {mode:04o}): chmod go-w {folder}" in refusal(require_own_folder, with_mode(folder, mode))


def test_a_folder_may_be_reached_through_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    require_own_folder(tmp_path / "link")

    folder.chmod(0o777)

    assert "chmod go-w" in refusal(require_own_folder, tmp_path / "link")


def test_only_a_folder_is_accepted(file):
    assert "is not a folder" in refusal(require_own_folder, file)
    assert "No such file" in refusal(require_own_folder, file.parent / "missing")


def test_a_folder_of_another_user_is_refused_and_nobody_is_told_to_take_it_from_its_server(folder, give_away):
    give_away(folder)

    assert refusal(require_own_folder, folder) == (
        f"{folder} belongs to {STRANGER}: run this as {STRANGER} "
        f"(sudo -u '#{STRANGER}', or hourpass-as-server if systemd runs the server)"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_that_only_we_can_read_is_good(file, mode):
    assert read_own_file(with_mode(file, mode)) == "content"


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o640, 0o644, 0o604, 0o602, 0o620, 0o610, 0o440, 0o444])
def test_a_file_that_is_open_to_others_is_refused_with_the_command(file, mode):
    told = refusal(read_own_file, with_mode(file, mode))

    assert told == f"{file} is open to others (mode {mode:04o}): chmod 600 '{file}'"


def test_a_file_of_another_user_is_refused_with_the_command(file, give_away):
    give_away(file)

    assert f"chown {US} '{file}'" in refusal(read_own_file, file)


def test_a_link_in_a_files_place_is_refused(file, folder):
    (folder / "link").symlink_to(file)
    (folder / "dangling").symlink_to(folder / "nothing")

    for name in ("link", "dangling"):
        assert "is a link" in refusal(read_own_file, folder / name)


def test_only_a_plain_file_is_accepted(folder):
    os.mkfifo(folder / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    for name in ("pipe", "socket"):
        assert "is not a plain file" in refusal(read_own_file, folder / name)


@pytest.mark.parametrize("ending", BESIDE_A_DATABASE)
@pytest.mark.parametrize("mode", [0o666, 0o644, 0o660])
def test_a_database_is_refused_for_any_file_that_sqlite_would_read(folder, ending, mode):
    for each in BESIDE_A_DATABASE:
        (folder / f"x.db{each}").touch(mode=0o600)
    require_own_database(folder / "x.db")

    (folder / f"x.db{ending}").chmod(mode)

    assert f"chmod 600 {folder}/x.db{ending}" in refusal(require_own_database, folder / "x.db")


@pytest.mark.parametrize("ending", BESIDE_A_DATABASE)
def test_a_database_with_a_file_of_another_user_is_refused(folder, ending, give_away):
    for each in BESIDE_A_DATABASE:
        (folder / f"x.db{each}").touch(mode=0o600)
    give_away(folder / f"x.db{ending}")

    assert f"{folder}/x.db{ending} belongs to {STRANGER}" in refusal(require_own_database, folder / "x.db")


def test_a_database_behind_a_link_is_judged_by_the_file_itself(folder, tmp_path):
    elsewhere = tmp_path / "fast disk"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "x.db").touch(mode=0o600)
    (folder / "x.db").symlink_to(elsewhere / "x.db")
    require_own_database(folder / "x.db")

    elsewhere.chmod(0o777)
    assert str(elsewhere) in refusal(require_own_database, folder / "x.db")

    elsewhere.chmod(0o700)
    (elsewhere / "x.db-wal").touch(mode=0o600)
    (elsewhere / "x.db-wal").chmod(0o666)
    assert f"{elsewhere}/x.db-wal" in refusal(require_own_database, folder / "x.db")


def test_a_database_that_is_still_to_be_made_needs_a_folder_of_our_own(folder):
    require_own_database(folder / "new.db")

    folder.chmod(0o1777)

    assert "chmod go-w" in refusal(require_own_database, folder / "new.db")


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o444, 0o600, 0o640, 0o644])
def test_a_file_that_the_operator_named_may_be_readable_for_others(file, mode):
    """Kubernetes mounts secrets as 0644, or 0440 and 0640 with an fsGroup. An ACL shows as the group's bits."""
    assert read_named_file(with_mode(file, mode)) == "content"
    assert bool(note_on_readers(file)) == bool(mode & 0o004)


def test_a_secret_that_kubernetes_mounts_is_read_through_its_links(folder):
    """`name -> ..data/name`, `..data -> ..2026_11_28`: replaced as one by the kubelet."""
    (folder / "..2026_11_28").mkdir(mode=0o755)
    with_mode(folder / "..2026_11_28", 0o755)
    (folder / "..2026_11_28/master-key").write_text("content")
    (folder / "..2026_11_28/master-key").chmod(0o440)
    (folder / "..data").symlink_to("..2026_11_28")
    (folder / "master-key").symlink_to("..data/master-key")

    assert read_named_file(folder / "master-key") == "content"


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o620, 0o602])
def test_a_named_file_that_others_can_write_is_refused(file, mode):
    assert "chmod go-w" in refusal(read_named_file, with_mode(file, mode))


def test_a_named_file_of_another_user_is_refused(file, give_away):
    give_away(file)

    assert f"belongs to {STRANGER}" in refusal(read_named_file, file)


def test_a_user_with_a_name_is_named_for_sudo(file):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(file, pwd.getpwnam("nobody").pw_uid, -1)

    assert "belongs to nobody: run this as nobody (sudo -u nobody), or chown root" in refusal(read_named_file, file)


def test_a_named_file_may_be_a_pipe():
    """As in HOURPASS_MASTER_KEY_FILE=/dev/fd/63, which is what a shell makes of `<(vault read …)`."""
    reading, writing = os.pipe()
    os.write(writing, b"content")
    os.close(writing)

    assert read_named_file(Path(f"/dev/fd/{reading}")) == "content"
    os.close(reading)
