"""The master key as a program prints it: `master_key_command`, such as the client of a KMS, Vault or age.

The program runs without a shell, in a session of its own. It gets no descriptor of ours but its output, and none of our
variables. What it prints is never logged, and of what it complains nothing that could be a key.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence

from hourpass.core.errors import ConfigurationError

LIMIT = 30.0
"""Seconds that the program may take."""

MAX_SIZE = 4096
"""Bytes. What is longer is not a key."""

WITHHELD = ("HOURPASS_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_")
"""How the variables begin that the program does not get: our settings, and what systemd told this process alone."""

_MAY_BE_A_KEY = re.compile(r"[A-Za-z0-9+/=_-]{32,}")


def key_from_command(command: Sequence[str], environ: Mapping[str, str], *, limit: float = LIMIT) -> str:
    """What the program prints, without white space around it.

    Raises:
        ConfigurationError: if it cannot be run, takes too long, fails, or prints nothing or too much.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(WITHHELD)}
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept,
            start_new_session=True,
        ) as process:
            try:
                printed, said = process.communicate(timeout=limit)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"master_key_command has not ended after {limit:g} s") from None
    except OSError as error:
        raise ConfigurationError(f"master_key_command cannot be run: {error.strerror}") from None
    if process.returncode:
        raise ConfigurationError(f"master_key_command ended with {process.returncode}{_complaint(said)}")
    text = printed.decode("ascii", "replace").strip()
    if not text:
        raise ConfigurationError(f"master_key_command printed nothing{_complaint(said)}")
    if len(printed) > MAX_SIZE:
        raise ConfigurationError("master_key_command printed more than a key")
    return text


def _complaint(said: bytes) -> str:
    """The last line of its complaint, with what could be a key struck out."""
    lines = said.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    shown = "".join(letter for letter in _MAY_BE_A_KEY.sub("…", last)[:200] if letter.isprintable())
    return f": {shown}" if shown else ""
