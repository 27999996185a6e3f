"""Where a client's command gets its API key: a file, a program's output, the environment, systemd or standard input.

Never from the argument list, which every user of the machine can read. No text of ours repeats a key, and a path only
where it is plainly one.
"""

import re
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from hourpass.client.credential import name_of_key
from hourpass.core.errors import ConfigurationError
from hourpass.home import folder_for

VARIABLE = "HOURPASS_API_KEY"

LOOKS_LIKE_A_KEY = re.compile(r"hp_(production|sandbox)_")

MAX_SIZE = 4096
"""Bytes; a larger file is something else."""

COMMAND_LIMIT = 30
"""Seconds that a program may take to give the key: time enough for a person to unlock a password store."""


class ApiKeySource(NamedTuple):
    """A way to the key, not the key. `place` says it in words; `read` is None where there is none.

    `path` and `command` are what a scheduled job could be given as well.
    """

    place: str
    read: Callable[[], str] | None = None
    path: Path | None = None
    command: str | None = None

    def name(self) -> str | None:
        """What the key goes by in the cache; None where it cannot be read. A program is not run for that.

        What it prints may change, and it may have to ask a person: it is told apart by its own words.
        """
        if self.read is None or self.command is not None:
            return name_of_key(self.command) if self.command else None
        try:
            return name_of_key(self.read())
        except ConfigurationError:
            return None


def find_api_key(file: str | None, command: str | None, environ: Mapping[str, str]) -> ApiKeySource:
    """The way to the key: what was named, else the variable, else systemd's credential `api-key`, else none.

    Standard input and a pipe are read at once, because a child process may get them next. All else is read when it is
    needed, so that a new key in the file counts.

    Raises:
        click.UsageError: two ways are named.
        ConfigurationError: standard input holds no key.
    """
    if file and command:
        raise click.UsageError("--api-key-file and --api-key-command are both given")
    if file == "-":
        key = _key(sys.stdin.buffer.read(MAX_SIZE + 1), "standard input")
        return ApiKeySource("standard input", lambda: key)
    if file:
        path = Path(file).absolute()
        if is_read_once(path):
            # What a shell's <(…) names, for one.
            key = _from_file(path, _shown(file))
            return ApiKeySource("the pipe named by --api-key-file", lambda: key)
        return ApiKeySource(f"the file {_shown(file)}", lambda: _from_file(path, _shown(file)), path)
    if command:
        return ApiKeySource("--api-key-command", lambda: _from_command(command), command=command)
    if environ.get(VARIABLE):
        value = environ[VARIABLE]
        return ApiKeySource(VARIABLE, lambda: _key(value.encode(), VARIABLE))
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and _may_be_there(path := Path(folder, "api-key")):
        return ApiKeySource("systemd's credential api-key", lambda: _from_file(path, "systemd's credential"))
    return ApiKeySource("nowhere")


def _may_be_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Closed to this user: that is said when it is read.
        return True


def is_read_once(path: Path) -> bool:
    """Whether a path names what can be read once only, such as a pipe."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except OSError:
        return False


def _shown(file: str) -> str:
    # A bare word may be a key that somebody took for the option's value.
    return file if "/" in file and not LOOKS_LIKE_A_KEY.search(file) else "named by --api-key-file"


def _from_file(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"the API key cannot be read from the file {shown}: {error.strerror}") from None
    return _key(content, f"the file {shown}")


def _from_command(command: str) -> str:
    # Imported here: most get their key from a file, and most calls need none at all.
    import shlex
    import subprocess

    try:
        # Its stderr stays the terminal's: a password store may have to ask.
        done = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, check=False, timeout=COMMAND_LIMIT)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"--api-key-command cannot be run ({type(error).__name__})") from None
    if done.returncode != 0:
        raise ConfigurationError(f"--api-key-command ended with {done.returncode}")
    return _key(done.stdout, "--api-key-command")


def _key(content: bytes, place: str) -> str:
    key = content.decode("ascii", "replace").strip()
    if not key:
        raise ConfigurationError(f"there is no API key: {place} is empty")
    if len(content) > MAX_SIZE or not all("\x21" <= letter <= "\x7e" for letter in key):
        raise ConfigurationError(f"there is more in {place} than an API key")
    return key


def default_cache(environ: Mapping[str, str]) -> Path | None:
    """Where credentials lie if nobody says; None for a user without a home."""
    folder = folder_for("CACHE", ".cache", environ)
    return folder / "hourpass" if folder else None
