"""Where a credential is kept between uses, and the lock that lets only one process refresh it.

A cache keeps bytes. `credential` decides what they mean and whether they are still valid. The lock is held for a whole
refresh, from reading the cache to writing it.
"""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from hourpass.client.refresh.reopen import Reopens
from hourpass.core.errors import ConfigurationError, LockTimeout
from hourpass.secret_file import HAS_OWNERS, write_atomically

MAX_SIZE = 256 * 1024
"""Bytes. No file of ours is larger: it holds two tokens of at most 64 KiB and a few numbers."""


_PLAIN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Flags with which opening neither waits for a writer nor follows a link. Not every system has all of them."""


class Cache(Protocol):
    """What a TokenSource needs from a cache."""

    def read(self) -> bytes | None:
        """The content. None if there is none. Needs no lock, but may wait for a disk or a person.

        Raises:
            ConfigurationError: it cannot be read, or others could have written it.
        """
        ...

    def write(self, content: bytes) -> None:
        """Replace the content. Called under the lock.

        Raises:
            ConfigurationError, OSError: the old content stays.
        """
        ...

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the credential's lock, waiting for at most `timeout` seconds.

        Raises:
            LockTimeout: another holder took too long.
            ConfigurationError: the place cannot be locked.
        """
        ...


class MemoryCache(Reopens):
    """A cache in this process's memory. Several sources may share it.

    It is empty in a forked child, and after unpickling, because two processes must not use one refresh token without a
    lock between them.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._content: bytes | None = None

    def read(self) -> bytes | None:
        self._after_fork()
        return self._content

    def write(self, content: bytes) -> None:
        self._after_fork()
        self._content = content

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        self._after_fork()
        held = self._lock
        if not held.acquire(timeout=timeout):
            raise LockTimeout("another refresh of this credential does not end")
        try:
            yield
        finally:
            held.release()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            # Another thread of the parent may have held the lock. The pid is set last: other threads look at it.
            self._lock, self._content, self._pid = threading.Lock(), None, os.getpid()

    def __repr__(self) -> str:
        """Without the content."""
        return "MemoryCache()"


class FileCache:
    """A file that processes of one user on one machine share: 0600, replaced whole, locked by a file beside it.

    If others may read the file, their access is removed, because refusing the file would undo nothing. A file of
    another user, or a link, is refused. The lock is the kernel's and ends with its holder. The lock file stays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> bytes | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | _PLAIN)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ConfigurationError(f"the token cache {self.path} cannot be opened: {error.strerror}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or (HAS_OWNERS and found.st_uid != os.geteuid()):
                raise ConfigurationError(f"the token cache {self.path} is not a plain file of this user")
            if HAS_OWNERS and found.st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise ConfigurationError(f"the token cache {self.path} cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return content if len(content) <= MAX_SIZE else None

    def write(self, content: bytes) -> None:
        write_atomically(self.path, content)

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        # Imported here, because a process that finds a fresh token takes no lock.
        from filelock import FileLock, Timeout  # noqa: PLC0415

        # A new object each time, because one FileLock may be acquired repeatedly, which would let a second thread in.
        lock = FileLock(f"{self.path}.lock", mode=0o600, thread_local=False, poll_interval=0.01, fallback_to_soft=False)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        except Timeout:
            raise LockTimeout(f"another process holds {self.path}.lock for too long") from None
        except OSError as error:
            raise ConfigurationError(f"{self.path}.lock cannot be locked: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def __repr__(self) -> str:
        """With the path alone."""
        return f"FileCache({str(self.path)!r})"
