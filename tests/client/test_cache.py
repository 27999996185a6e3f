"""Caches: whole or absent, for their owner alone, locked by the kernel."""

import multiprocessing
import os
import stat
import threading
import time

import pytest

from hourpass.client.refresh.cache import MAX_SIZE, FileCache, MemoryCache
from hourpass.core.errors import ConfigurationError, LockTimeout

FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    return MemoryCache() if request.param == "memory" else FileCache(tmp_path / "folder" / "token")


def test_it_begins_empty_and_keeps_the_last_content(cache):
    assert cache.read() is None
    with cache.lock(1):
        cache.write(b"one")
        cache.write(b"two")
    assert cache.read() == b"two"


def test_its_lock_has_one_holder_and_a_limit(cache):
    with cache.lock(1):
        caught = []

        def second():
            try:
                with cache.lock(0.05):
                    pass
            except LockTimeout as error:
                caught.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert len(caught) == 1
    with cache.lock(1):
        pass


def test_its_repr_holds_no_content(cache):
    with cache.lock(1):
        cache.write(b"SECRET")
    assert "SECRET" not in repr(cache)


def test_a_forked_child_finds_a_memory_cache_empty_and_its_lock_free():
    """Two processes must not present one refresh token without a lock between them."""
    cache = MemoryCache()
    cache.write(b"parent's")

    with cache.lock(1):
        pid = os.fork()
        if pid == 0:
            try:
                with cache.lock(1):
                    os._exit(cache.read() is not None)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    assert cache.read() == b"parent's"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "token"


def test_a_file_and_its_lock_are_for_their_owner_alone(path):
    cache = FileCache(path.parent / "new" / "token")
    with cache.lock(1):
        cache.write(b"x")

    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in cache.path.parent.iterdir()}
    assert modes == {"token": 0o600, "token.lock": 0o600}
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_may_read_is_closed_to_them(path):
    path.write_bytes(b"x")
    path.chmod(0o644)

    assert FileCache(path).read() == b"x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_lock_file_is_never_removed(path):
    cache = FileCache(path)
    with cache.lock(1):
        first = path.with_name("token.lock").stat().st_ino
    with cache.lock(1):
        assert path.with_name("token.lock").stat().st_ino == first
    assert path.with_name("token.lock").exists()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_only_a_plain_file_is_accepted(path, kind):
    if kind == "link":
        path.symlink_to(path.with_name("elsewhere"))
        path.with_name("elsewhere").write_bytes(b"x")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)

    with pytest.raises(ConfigurationError):
        FileCache(path).read()
    with pytest.raises(ConfigurationError):
        FileCache(path).write(b"x")


def test_a_lock_that_cannot_be_had_at_all_is_a_matter_of_configuration(path):
    path.write_bytes(b"a file where a folder should be")

    with pytest.raises(ConfigurationError), FileCache(path / "token").lock(1):
        pass
    assert FileCache(path / "token").read() is None


@pytest.mark.parametrize("name", ["mem", "status"], ids=["read (EIO)", "close to others (EPERM)"])
def test_a_file_that_the_system_does_not_let_us_read_is_a_matter_of_configuration(name):
    """Files of the kernel's that are plain, ours, and refuse: no raw OSError gets out."""
    cache = FileCache(f"/proc/{os.getpid()}/{name}")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        cache.read()


def test_a_giant_file_is_treated_as_absent(path):
    path.write_bytes(b"x" * (MAX_SIZE + 1))

    assert FileCache(path).read() is None


def hold(path, ready):
    with FileCache(path).lock(5):
        ready.set()
        time.sleep(60)


def test_the_lock_ends_with_its_holder(path):
    """kill -9: the kernel's lock needs nobody to clean it up."""
    ready = FORK.Event()
    holder = FORK.Process(target=hold, args=(path, ready))
    holder.start()
    assert ready.wait(10)
    with pytest.raises(LockTimeout), FileCache(path).lock(0.05):
        pass

    holder.kill()
    holder.join(10)

    with FileCache(path).lock(1):
        pass


WHOLE = {bytes([letter]) * 5_000 for letter in range(65, 91)}


def rewrite(path, ready):
    cache, number = FileCache(path), 0
    while True:
        with cache.lock(5):
            cache.write(bytes([65 + number % 26]) * 5_000)
        ready.set()
        number += 1


def test_writers_killed_at_any_moment_leave_a_whole_file(path):
    for number in range(8):
        ready = FORK.Event()
        writer = FORK.Process(target=rewrite, args=(path, ready))
        writer.start()
        assert ready.wait(10)
        until = time.monotonic() + 0.01 + number * 0.003
        while time.monotonic() < until:
            content = FileCache(path).read()
            assert content in WHOLE
        writer.kill()
        writer.join(10)
        content = FileCache(path).read()
        assert content in WHOLE
