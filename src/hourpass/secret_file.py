"""Writes a secret file so that a reader sees the old content or the new, never a part, and nobody else reads it.

Owns the writing alone: what is in the file, and who reads it, is the caller's business.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hourpass.core.errors import ConfigurationError

HAS_OWNERS = hasattr(os, "geteuid")
"""Whether files have the owners and modes of POSIX. On Windows a file of the user's profile is the user's own."""

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)

STALE = 3600.0
"""Seconds after which a temporary file belongs to a writer that died. The age is by the file system's own clock."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600, group: int | None = None) -> None:
    """Replace a file. Mode and group (a gid) are set anew on every write, and the content is on disk on return.

    Raises:
        ConfigurationError: where the path is a symlink or no plain file, or its folder lets anyone replace files.
        OSError: where the disk or the folder refuses. The old content stays.
    """
    _refuse_unsafe(path)
    temporary, descriptor = _draft(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if group is not None:
                os.fchown(descriptor, -1, group)
            if HAS_OWNERS:
                # After the group, which may clear bits; and whatever the umask says.
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
    _sweep(path, written_at)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A draft to fill, 0600, that takes its name at the end or not at all. It never overwrites a file.

    Raises:
        FileExistsError: the name is taken, or was taken meanwhile. OSError: the disk or the folder refuses.
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
        # Unlike a renaming, a link takes nobody's place.
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


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
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path, now: float) -> None:
    # Only this file's own temporaries, and only old ones: a sibling may be writing its own at this moment.
    for neighbour in path.parent.iterdir():
        if neighbour.name.startswith(f".{path.name}.") and neighbour.suffix == ".tmp":
            with suppress(OSError):
                if neighbour.lstat().st_mtime < now - STALE:
                    neighbour.unlink()
