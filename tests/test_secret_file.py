"""Writing a secret file: whole, synced, closed to others, and through no link."""

import os
import stat
import threading

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.secret_file import STALE, new_file, write_atomically


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sink"


def names(path):
    return sorted(entry.name for entry in path.parent.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_every_write_sets_the_mode_again_under_any_umask(path, mode):
    before = os.umask(0o077)
    try:
        write_atomically(path, b"one", mode=mode)
        path.chmod(0o666)
        write_atomically(path, b"two", mode=mode)
    finally:
        os.umask(before)

    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert names(path) == ["sink"]


def test_the_group_is_set_with_it(path):
    group = os.getgid()

    write_atomically(path, b"x", mode=0o640, group=group)

    assert path.stat().st_gid == group


def test_every_write_is_a_new_file_so_that_an_open_one_stays_whole(path):
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new and longer")
        assert reader.read() == b"old"


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_any_other_kind_of_file_is_refused_and_left_alone(path, kind):
    target = path.with_name("target")
    if kind == "link":
        target.write_bytes(b"precious")
    if "link" in kind:
        path.symlink_to(target)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    before = names(path)

    with pytest.raises(ConfigurationError):
        write_atomically(path, b"x")

    assert names(path) == before
    assert kind != "link" or target.read_bytes() == b"precious"


@pytest.mark.parametrize(("mode", "is_refused"), [(0o777, True), (0o1777, False), (0o775, False), (0o702, True)])
def test_a_folder_in_which_anyone_may_replace_files_is_refused(tmp_path, mode, is_refused):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)

    if is_refused:
        with pytest.raises(ConfigurationError):
            write_atomically(folder / "sink", b"x")
        assert list(folder.iterdir()) == []
    else:
        write_atomically(folder / "sink", b"x")


def test_a_write_that_fails_keeps_the_old_content_and_leaves_nothing_behind(path):
    write_atomically(path, b"old")

    with pytest.raises((TypeError, OSError)):
        write_atomically(path, "not bytes")

    assert path.read_bytes() == b"old"
    assert names(path) == ["sink"]


@pytest.mark.parametrize(("age", "is_swept"), [(STALE + 60, True), (STALE - 60, False)])
def test_the_files_of_a_dead_writer_are_swept_and_those_of_a_sibling_are_not(path, age, is_swept):
    left = path.with_name(".sink.0123456789abcdef.tmp")
    other = path.with_name(".other.0123456789abcdef.tmp")
    for file in (left, other):
        file.write_bytes(b"x")
        os.utime(file, (file.stat().st_mtime - age,) * 2)

    write_atomically(path, b"x")

    assert left.exists() != is_swept
    assert other.exists(), "another file's temporaries are its own business"


def test_a_thousand_rewrites_are_never_torn(path):
    """A reader in another thread sees whole contents only, and never none."""
    write_atomically(path, b"A" * 3_000)
    done, torn, reads = threading.Event(), [], 0

    def read():
        nonlocal reads
        while not done.is_set():
            content = path.read_bytes()
            reads += 1
            if len(content) != 3_000 or len(set(content)) != 1:
                torn.append(content)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1_000):
            write_atomically(path, bytes([65 + number % 26]) * 3_000)
    finally:
        done.set()
        reader.join()

    assert not torn
    assert reads > 50


def test_a_new_file_is_for_its_owner_alone_and_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "secret"

    with new_file(path) as draft:
        draft.write_bytes(b"content")
        assert not path.exists()

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"content", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_that_cannot_be_filled_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="full"), new_file(tmp_path / "secret"):
        raise OSError("full")

    assert list(tmp_path.iterdir()) == []


def test_a_new_file_overwrites_nothing_even_if_its_name_is_taken_meanwhile(tmp_path):
    path = tmp_path / "secret"

    with pytest.raises(FileExistsError), new_file(path):
        path.write_bytes(b"another's")
    with pytest.raises(FileExistsError), new_file(path):
        pass

    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"another's", [path])
