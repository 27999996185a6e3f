"""Where a client's command gets its API key: a file, a program's output, the environment, systemd or standard input.

Never from the arguments, because every user of the machine can read those. No message repeats a key. A message repeats
a path only if it is clearly a path.
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
from hourpass.core.key_shape import BEGINNING
from hourpass.home import folder_for

VARIABLE = "HOURPASS_API_KEY"

LOOKS_LIKE_A_KEY = re.compile(BEGINNING)

MAX_SIZE = 4096
"""Bytes. A larger file is not an API key."""

COMMAND_LIMIT = 30
"""Seconds that a program may take to print the key: enough for a person to unlock a password store."""


class ApiKeySource(NamedTuple):
    """Where the key is, not the key itself. `place` says it in words. `read` is None if there is no key.

    `path` and `command` are set if a scheduled job can use the same way.
    """

    place: str
    read: Callable[[], str] | None = None
    path: Path | None = None
    command: str | None = None

    def name(self) -> str | None:
        """The key's name in the cache. None if the key cannot be read.

        A program is not run for this, because its output may change and it may ask a person. The name is then made from
        the command itself.
        """
        if self.read is None or self.command is not None:
            return name_of_key(self.command) if self.command else None
        try:
            return name_of_key(self.read())
        except ConfigurationError:
            return None


def find_api_key(file: str | None, command: str | None, environ: Mapping[str, str]) -> ApiKeySource:
    """Where the key is: the option, else the variable, else systemd's credential `api-key`, else nowhere.

    Standard input and a pipe are read at once, because a child process may get them next. Everything else is read when
    it is needed, so that a new key in the file is used.

    Raises:
        click.UsageError: both options are given.
        ConfigurationError: standard input or the pipe does not hold a key.
    """
    if file and command:
        raise click.UsageError("--api-key-file and --api-key-command are both given")
    if file == "-":
        key = _key(sys.stdin.buffer.read(MAX_SIZE + 1), "standard input")
        return ApiKeySource("standard input", lambda: key)
    if file:
        path = Path(file).absolute()
        if is_read_once(path):
            # For example a shell's <(…).
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
        # This user may not look. Reading it later raises the error.
        return True


def is_read_once(path: Path) -> bool:
    """Whether a path can be read only once, such as a pipe."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except OSError:
        return False


def _shown(file: str) -> str:
    # A bare word may be a key, given as the option's value by mistake.
    return file if "/" in file and not LOOKS_LIKE_A_KEY.search(file) else "named by --api-key-file"


def _from_file(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"the API key cannot be read from the file {shown}: {error.strerror}") from None
    return _key(content, f"the file {shown}")


def _from_command(command: str) -> str:
    # Imported here because most keys come from a file, and most calls need no key.
    import shlex
    import subprocess

    try:
        # Its stderr is still the terminal, because a password store may ask for a password.
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
        raise ConfigurationError(f"{place} holds more than an API key")
    return key


def default_cache(environ: Mapping[str, str]) -> Path | None:
    """The default folder of the cache. None for a user without a home folder."""
    folder = folder_for("CACHE", ".cache", environ)
    return folder / "hourpass" if folder else None
