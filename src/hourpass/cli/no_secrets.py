"""Refuses keys and tokens as arguments, because every user of the machine can read arguments. Never repeats one.

The check runs before every command. If any option or argument holds a key or token, even a misspelt option, the command
ends with wrong usage (2) and advice. Arguments after `--` belong to another program and are not checked, unless one of
them is an id of ours.
"""

import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from hourpass.core.errors import HourpassError
from hourpass.core.key_shape import BEGINNING

_KEY = re.compile(BEGINNING + "[0-9A-Za-z]{12}_[0-9A-Za-z]")
_TOKEN = re.compile(r"eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]")
_EITHER = re.compile(rf"(?:{_KEY.pattern}|{_TOKEN.pattern})[0-9A-Za-z_.-]*")

_ADVICE = "every user of this machine can read an argument: treat that {} as leaked, and use {}"


def refuse_secrets(arguments: Sequence[str], *, by_file: bool = False) -> None:
    """Raise UsageError if an argument holds an API key or a token. The error does not repeat it.

    `by_file` says that the command reads an API key from a file, and not from standard input.
    """
    own = arguments[: list(arguments).index("--")] if "--" in arguments else arguments
    for argument in own:
        if _KEY.search(argument):
            raise click.UsageError(
                _ADVICE.format("API key", "--api-key-file" if by_file else "- to read it from standard input")
            )
        if _TOKEN.search(argument):
            raise click.UsageError(_ADVICE.format("token", "- to read it from standard input"))


def id_of_ours(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback for an argument that should be an id: it refuses a key or token even after `--`."""
    if value is not None:
        refuse_secrets([value])
    return value


def ids_of_ours(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The same for several ids. One that comes twice is one: it must not get two new secrets."""
    refuse_secrets(value)
    return tuple(dict.fromkeys(value))


def struck_out(text: str) -> str:
    """The text with `[redacted]` in place of each key and token."""
    return _EITHER.sub("[redacted]", text)


def without_secrets(error: click.UsageError) -> click.UsageError:
    """The error without any key or token in its words. click's own text repeats an argument that it did not expect."""
    words = error.format_message()
    return error if words == struck_out(words) else click.UsageError(struck_out(words), error.ctx)


def from_standard_input() -> str:
    """A key or token from a pipe: it is not in the process list."""
    return sys.stdin.read(65_536).strip()


def open_key_source(file: str, opened: ExitStack) -> BinaryIO:
    """A file that holds keys, or standard input for `-`. The stack closes the file.

    Raises:
        HourpassError: if it cannot be read. Its name is not repeated: it may be a key that somebody pasted there.
    """
    if file == "-":
        return sys.stdin.buffer
    try:
        return opened.enter_context(Path(file).open("rb"))
    except OSError as error:
        raise HourpassError(f"cannot read the file: {error.strerror}") from None
