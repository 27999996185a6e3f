"""What the operator's commands share: settings from flags, environment and file, and a database to work on."""

import functools
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from hourpass.cli.terminal import moment, say
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME
from hourpass.server.keys.master_key import BACK_IT_UP, MasterKey
from hourpass.server.keys.signing_keys import Secrets
from hourpass.server.run.open import current_time, default_data, open_secrets, open_store
from hourpass.server.settings.settings import Origin, Settings, described, load, notes
from hourpass.server.store import Store, transaction

F = TypeVar("F", bound=Callable[..., Any])

_SHORT = {"database_url": "database"}
"""Flags that are shorter than the setting's name."""


def settings_options(*names: str) -> Callable[[F], F]:
    """Flags for settings, all of them where none is named. The command gets what was given as `flags`."""
    chosen = names or tuple(described())

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in (*chosen, "config")}
            flags = {name: value for name, value in given.items() if value is not None}
            return command(flags=flags, **arguments)

        options: Any = wrapper
        for name in reversed(chosen):
            field = described()[name]
            flag = "--" + _SHORT.get(name, name).replace("_", "-")
            metavar = name.rsplit("_", 1)[-1].upper()
            options = click.option(flag, name, metavar=metavar, help=_help(field))(options)
        return click.option("--config", "config", metavar="FILE", help="the configuration file")(options)  # type: ignore[no-any-return]

    return decorate


def _help(field: Any) -> str:
    default = field.default
    shown = " ".join(default) if isinstance(default, tuple) else default
    text: str = field.metadata["help"]
    return text if shown in (None, "") else f"{text}  [{str(shown).lower() if isinstance(shown, bool) else shown}]"


database_options = settings_options("data", "database_url")


def load_settings(flags: dict[str, object]) -> tuple[Settings, dict[str, Origin]]:
    """The settings that a command works with, and where each came from. Says what is worth a note."""
    loaded = load(flags, os.environ, default_data(os.environ))
    for note in notes(os.environ):
        say(note)
    return loaded


def read_settings(flags: dict[str, object]) -> Settings:
    """The settings that a command works with."""
    return load_settings(flags)[0]


class Database:
    """An open database with its secrets, as a command uses it."""

    def __init__(self, settings: Settings, store: Store, master: MasterKey, secrets: Secrets, now: int) -> None:
        self.settings = settings
        self.store = store
        self.master = master
        self.secrets = secrets
        # The server may have been told of another lifetime than this command: what is revoked stays so for the longest.
        self.policy = settings.policy()._replace(access_token_lifetime=MAX_ACCESS_TOKEN_LIFETIME)
        self.now = now


@contextmanager
def open_database(flags: dict[str, object], *, create: bool = False, look: bool = False) -> Iterator[Database]:
    """Open the database for one transaction, without a word. A running server takes note within a second.

    Only what may come before the first start makes a database: a misspelt folder is an error, not an empty one. One
    that was moved can only be looked at.
    """
    settings = read_settings(flags)
    store = open_store(settings, create=create)
    try:
        now = current_time(store, settings)
        master, secrets = open_secrets(store, settings, os.environ, now, look=look)
        with transaction(store):
            yield Database(settings, store, master, secrets, now)
    finally:
        store.close()


@contextmanager
def database(flags: dict[str, object], *, create: bool = False) -> Iterator[Database]:
    """Open the database to change it, and say at the end which one it was."""
    with open_database(flags, create=create) as db:
        yield db
    if create and db.master.made:
        say(f"{db.master.made} was made: {BACK_IT_UP}.")
    say(f"Database: {db.store.name}")


@contextmanager
def look_at_database(flags: dict[str, object]) -> Iterator[Database]:
    """Open the database to look at it, and say so if the installation is elsewhere by now."""
    with open_database(flags, look=True) as db:
        if moved := db.store.moved():
            say(f"{db.store.name} was moved to {moved.target}: this is how it was on {moment(moved.at)}.")
        yield db


def actor() -> str:
    """Who is at the command, for the audit trail: the user that the system knows, and beside it what USER says.

    Anybody can set a variable. sudo's own is kept because it tells who called, but not in the user's place.
    """
    name = _user(os.getuid())
    said = os.environ.get("SUDO_USER") or os.environ.get("USER") or name
    return f"cli:{name}" if said == name else f"cli:{name} (USER={said[:64]})"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
