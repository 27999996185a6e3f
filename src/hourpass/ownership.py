"""Checks who owns files. hourpass trusts only files that nobody else can write and secrets that nobody else can read.

Root can do everything anyway, so a file of root is as good as our own. Each refusal names what fixes it.
"""

import os
import shlex
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hourpass.core.errors import ConfigurationError

if TYPE_CHECKING:
    from filelock import FileLock

BESIDE_A_DATABASE = ("", "-wal", "-shm", "-journal")
"""The endings of the files that SQLite keeps beside a database and reads when it opens it. The first is its own."""


AS_SERVER = ", or hourpass-as-server if systemd runs the server"
"""How else to become the user of the server's folders: with its master key."""


def require_own_folder(folder: Path) -> None:
    """Require a folder into which nobody else can put files. It may be reached through a link.

    A sticky folder such as /tmp is refused, too: others could put a log or a key there before we do.

    Raises:
        ConfigurationError: if it belongs to another user, or others can write into it.
    """
    found = _look(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{folder} is not a folder")
    _require_owner(folder, found, AS_SERVER)
    if found.st_mode & 0o022:
        raise ConfigurationError(
            f"others can write into {folder} (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod go-w {_quoted(folder)}, or use a folder inside it"
        )


def require_own_file(path: Path) -> None:
    """Require a plain file that nobody else can read or write.

    Raises:
        ConfigurationError: if it is not a plain file, belongs to another user, or is open to others.
    """
    _require_private(path, path.lstat())


def require_own_database(path: Path) -> None:
    """Require that a SQLite file, the files beside it and their folder are ours. The file may be behind a link.

    Raises:
        ConfigurationError: if one of them is not ours, as in `require_own_folder` and `require_own_file`.
    """
    real = path.resolve()
    require_own_folder(real.parent)
    for ending in BESIDE_A_DATABASE:
        beside = Path(f"{real}{ending}")
        try:
            require_own_file(beside)
        except FileNotFoundError:
            continue


def trusted_socket(path: Path) -> Path:
    """The place of a unix socket that nobody else can have put there, and nobody can put another one in its place.

    Connect to that and not to `path`, in which somebody may change a link meanwhile.

    Root and we are trusted, and so is the user whose folder it lies in, if only root can have made that folder: it is a
    server's user below /run. A folder below /tmp anybody can have made.

    Raises:
        ConfigurationError: if somebody else could listen there.
        OSError: if the socket cannot be looked at.
    """
    real = path.resolve(strict=True)
    folder, above = real.parent, real.parent.parents
    trusted = {0, os.geteuid()}
    if all(found.st_uid == 0 and not found.st_mode & 0o022 for found in map(Path.stat, above)):
        trusted.add(folder.stat().st_uid)
    for each in (real, folder, *above):
        found = each.stat()
        if found.st_uid not in trusted:
            raise ConfigurationError(f"{each} belongs to {_user(found.st_uid)}, who could read what you send to {path}")
        # In a sticky folder nobody takes the folders of others away, but anybody can put a socket there.
        if each != real and found.st_mode & 0o022 and (each == folder or not found.st_mode & stat.S_ISVTX):
            mode = stat.S_IMODE(found.st_mode)
            raise ConfigurationError(
                f"others can write into {each} (mode {mode:04o}), so they could read what you send to {path}"
            )
    return real


def read_own_file(path: Path) -> str:
    """The text of a plain file that nobody else can read or write.

    Raises:
        ConfigurationError: if the file is not ours, as in `require_own_file`.
        OSError, UnicodeDecodeError: if it cannot be read.
    """
    require_own_file(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="ascii") as file:
        _require_private(path, os.fstat(descriptor))
        return file.read()


def read_named_file(path: Path) -> str:
    """The text of a file that the operator named: settings, a systemd credential, a mounted Kubernetes secret.

    Such a file may be a link, belong to root, or be readable for a group of ours: the operator chooses who may read it.
    But others must not be able to write it: they would know the secret, or choose the programs that settings name.

    Raises:
        ConfigurationError: if it belongs to a user other than root and us, or others can write it.
        OSError, UnicodeDecodeError: if it cannot be read.
    """
    with path.open(encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        _require_owner(path, found)
        if found.st_mode & 0o022:
            raise ConfigurationError(
                f"others can write {path} (mode {stat.S_IMODE(found.st_mode):04o}): chmod go-w {_quoted(path)}"
            )
        return file.read()


def own_lock(path: Path) -> "FileLock":
    """A lock that nobody else can hold, because its file is for us alone. It lies in a folder of ours, and stays there.

    Every user who may read a file can lock it, so the lock must never be the folder or a file that others can read.
    """
    from filelock import FileLock  # noqa: PLC0415 - an extra

    with suppress(OSError):
        path.chmod(0o600)  # an earlier version made it readable for all
    return FileLock(path, mode=0o600)


def note_on_readers(path: Path) -> str:
    """One sentence if everyone can read a secret file, else an empty string."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    return f"everyone on this machine can read {path} (mode {mode:04o}): chmod o-r {_quoted(path)}" if mode & 4 else ""


def _look(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot use {path}: {error.strerror}") from error


def _require_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "not a plain file"
        raise ConfigurationError(f"{path} is {kind}: put the file itself there")
    _require_owner(path, found)
    if found.st_mode & 0o077:
        raise ConfigurationError(
            f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {_quoted(path)}"
        )


def _require_owner(path: Path, found: os.stat_result, also: str = "") -> None:
    if found.st_uid not in (os.geteuid(), 0):
        theirs = _user(found.st_uid)
        login = f"'#{theirs}'" if theirs.isdecimal() else theirs
        # A folder that becomes ours is lost to the server whose folder it is.
        take = "" if stat.S_ISDIR(found.st_mode) else f", or chown {_user(os.geteuid())} {_quoted(path)}"
        raise ConfigurationError(f"{path} belongs to {theirs}: run this as {theirs} (sudo -u {login}{also}){take}")


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - only POSIX systems have it, and the agent's modules say so themselves

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
