"""What the operator's commands share: the settings from flags, environment and file, and an open database."""

import functools
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from hourpass.admin.instants import moment
from hourpass.cli.terminal import say
from hourpass.core.actor import Actor
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME
from hourpass.server.keys.audit_chain import chain_own_rows
from hourpass.server.keys.master_key import BACK_IT_UP, MasterKey
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.run.open import current_time, default_data, open_secrets, open_store
from hourpass.server.settings.loading import Origin, load, notes
from hourpass.server.settings.settings import Settings, described
from hourpass.server.store import Store, reading, transaction

F = TypeVar("F", bound=Callable[..., Any])

_SHORT = {"database_url": "database"}
"""Flags that are shorter than the setting's name."""


def settings_options(*names: str) -> Callable[[F], F]:
    """A flag for each named setting, or for all if you name none. The command gets the given ones as `flags`."""
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
            metavar = name.rsplit("_", 1)[-1].upper()
            options = click.option(flag_of(name), name, metavar=metavar, help=_help(field))(options)
        return click.option("--config", "config", metavar="FILE", help="the configuration file")(options)  # type: ignore[no-any-return]

    return decorate


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return "--" + _SHORT.get(name, name).replace("_", "-")


def _help(field: Any) -> str:
    default = field.default
    shown = " ".join(default) if isinstance(default, tuple) else default
    text: str = field.metadata["help"]
    return text if shown in (None, "") else f"{text}  [{str(shown).lower() if isinstance(shown, bool) else shown}]"


database_options = settings_options("data", "database_url")


def load_settings(flags: dict[str, object]) -> tuple[Settings, dict[str, Origin]]:
    """The settings that a command works with, and where each came from. Prints the notes on them."""
    loaded = load(flags, os.environ, default_data(os.environ))
    for note in notes(loaded[0], os.environ):
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
        # The server's lifetime may differ from this command's, so a revocation is kept for the longest possible one.
        self.policy = settings.policy()._replace(access_token_lifetime=MAX_ACCESS_TOKEN_LIFETIME)
        self.now = now


@contextmanager
def open_database(flags: dict[str, object], *, create: bool = False, look: bool = False) -> Iterator[Database]:
    """Open the database for one transaction, and print nothing. A running server notices within a second.

    With `create` it makes a database that is missing: only for commands that may run before the first start, so that a
    misspelt folder is an error elsewhere. A database that was moved can be opened only with `look`.
    """
    settings = read_settings(flags)
    store = open_store(settings, create=create)
    try:
        now = current_time(store, settings)
        master, secrets = open_secrets(store, settings, os.environ, now, look=look)
        with reading(store) if look else transaction(store):
            yield Database(settings, store, master, secrets, now)
            if not look:
                chain_own_rows(store, secrets, now)
    finally:
        store.close()


@contextmanager
def database(flags: dict[str, object], *, create: bool = False) -> Iterator[Database]:
    """Open the database to change it, and print its name at the end."""
    with open_database(flags, create=create) as db:
        yield db
    if create and db.master.made:
        say(f"{db.master.made} was made: {BACK_IT_UP}.")
    say(f"Database: {db.store.name}")


@contextmanager
def look_at_database(flags: dict[str, object]) -> Iterator[Database]:
    """Open the database to read it, and say so if the installation was moved elsewhere."""
    with open_database(flags, look=True) as db:
        if moved := db.store.moved():
            say(f"{db.store.name} was moved to {moved.target}: this is how it was on {moment(moved.at)}.")
        yield db


def actor() -> Actor:
    """Who runs the command, for the audit trail: the user that the system knows, and the name in SUDO_USER or USER.

    Anybody can set a variable, so that name never replaces the user. It is kept because it tells who called sudo.
    """
    name = _user(os.getuid())
    said = os.environ.get("SUDO_USER") or os.environ.get("USER") or name
    who = f"cli:{name}@{_bounded(socket.gethostname()) or 'localhost'}"
    return Actor(who if said == name else f"{who} (USER={_bounded(said)})")


def _bounded(said: str) -> str:
    """What the system or the environment says, without what does not print, and not longer than a name is."""
    return "".join(letter if letter.isprintable() else "?" for letter in said)[:64]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
