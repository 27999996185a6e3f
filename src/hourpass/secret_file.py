"""Writes a secret file. A reader sees the old content or the new, never a part, and nobody else can read it.

This module only writes. The caller decides what is in the file and who reads it.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hourpass.core.errors import ConfigurationError

HAS_OWNERS = hasattr(os, "geteuid")
"""Whether files have owners and modes as in POSIX. On Windows, a file in the user's profile belongs to the user."""

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)

STALE = 3600.0
"""Seconds. If a temporary file is older, its writer has died. The age is measured by the file system's own clock."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600, group: int | None = None) -> None:
    """Replace a file. Mode and group (a gid) are set again on every write. On return the content is on disk.

    Raises:
        ConfigurationError: if the path is not a plain file, or anyone can replace files in its folder.
        OSError: if the file cannot be written. The old content stays.
    """
    _refuse_unsafe(path)
    temporary, descriptor = _draft(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if group is not None:
                os.fchown(descriptor, -1, group)
            if HAS_OWNERS:
                # After the group, because setting that may clear bits. And by chmod, so that the umask does not matter.
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        written_at = temporary.stat().st_mtime
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)
    # Only old ones: another writer may be writing one at this moment.
    sweep(path, older_than=written_at - STALE)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A draft to fill, with mode 0600. It gets its name at the end or not at all, and never overwrites a file.

    Raises:
        FileExistsError: if the name is taken, or was taken meanwhile.
        OSError: if the file cannot be written.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    draft, descriptor = _draft(path)
    try:
        try:
            yield draft
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # Unlike renaming, linking never replaces another file.
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def sweep(path: Path, *, older_than: float | None = None) -> None:
    """Delete the file's temporary files, which writers left that were killed.

    `older_than` is an instant of the file system's clock. Without it, nobody else may be writing the file: hold a lock.
    """
    for neighbour in path.parent.iterdir():
        if neighbour.name.startswith(f".{path.name}.") and neighbour.suffix == ".tmp":
            with suppress(OSError):
                if older_than is None or neighbour.lstat().st_mtime < older_than:
                    neighbour.unlink()


def _draft(path: Path) -> tuple[Path, int]:
    """A new file beside the path, 0600, open for writing."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    return draft, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY, 0o600)


def _refuse_unsafe(path: Path) -> None:
    folder = path.parent.stat()
    if HAS_OWNERS and folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise ConfigurationError(f"anyone may replace files in {path.parent}: take the write bit for others away")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path} is not a plain file: name the file itself, not a link to it")


def _sync_folder(folder: Path) -> None:
    if not HAS_OWNERS:
        return  # Windows cannot open folders
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
