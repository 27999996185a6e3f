"""The administration as a command reaches it: on the database of this machine, or over a server's admin API."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import click

from hourpass.admin import shapes
from hourpass.admin.instants import moment
from hourpass.admin.operations import Operation
from hourpass.cli.operator.database import actor, flag_of, read_settings
from hourpass.cli.terminal import say
from hourpass.clocks import wall_clock
from hourpass.core.admin_access import owner
from hourpass.server.admin.administration import Administration
from hourpass.server.admin.key_import import ImportBatch
from hourpass.server.keys.importing import TOGETHER
from hourpass.server.keys.master_key import BACK_IT_UP
from hourpass.server.run.open import current_time, open_secrets, open_store

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)


class Desk(Protocol):
    """Carries out operations. `name` says on what: a database, or a server. `now` is epoch milliseconds there.

    `rows_together` is how many rows a batch of an import has.
    """

    name: str
    now: int
    rows_together: int

    def call(self, operation: Operation[Q, A], asked: Q) -> A:
        """Carry out one operation. Raises HourpassError."""

    def call_each(self, operation: Operation[Q, A], asked: Sequence[Q]) -> Iterator[A]:
        """Carry out an operation several times, and yield each answer once it is durable. Raises HourpassError."""

    def import_rows(self, batch: ImportBatch) -> shapes.ImportedKeys:
        """Import a batch of keys. Raises HourpassError."""


class Server(NamedTuple):
    """The admin listener that `--server` names, and the file with the admin key."""

    url: str
    key_file: str


def chosen_server() -> Server | None:
    """The server that `--server` or HOURPASS_SERVER names, None if the command works on the database.

    Raises:
        UsageError: if the file of the admin key is not named.
    """
    given: dict[str, Any] = click.get_current_context().find_root().params
    if not given.get("server"):
        return None
    if not given.get("admin_key_file"):
        raise click.UsageError("with --server, name the file of your admin key: --admin-key-file FILE")
    return Server(given["server"], given["admin_key_file"])


class _Local:
    def __init__(self, administration: Administration, name: str, now: int) -> None:
        self._administration = administration
        self._identity = owner(actor())
        self.name = f"Database: {name}"
        self.now = now
        self.rows_together = TOGETHER

    def call(self, operation: Operation[Q, A], asked: Q) -> A:
        return self._administration.call(operation, asked, self._identity)

    def call_each(self, operation: Operation[Q, A], asked: Sequence[Q]) -> Iterator[A]:
        return self._administration.call_each(operation, asked, self._identity)

    def import_rows(self, batch: ImportBatch) -> shapes.ImportedKeys:
        return self._administration.import_rows(batch, self._identity)


@contextmanager
def administration(
    flags: dict[str, object], *, changes: bool = False, create: bool = False, small: bool = False
) -> Iterator[Desk]:
    """Reach the administration. With `create` a database that is missing is made, which fits few commands.

    A database that was moved can only be looked at. A command that `changes` something prints the desk's name. With
    `small` the database takes little memory.
    """
    if server := chosen_server():
        if flags:
            name = flag_of(next(iter(flags)))
            raise click.UsageError(f"{name} is about this machine, and --server names another one: give one of them")
        from hourpass.cli.operator.remote import Remote

        with closing(Remote(server.url, server.key_file, wall_clock(), environ=os.environ)) as remote:
            yield remote
        return
    settings = read_settings(flags)
    with closing(open_store(settings, create=create, small=small)) as store:
        now = current_time(store, settings)
        master, secrets = open_secrets(store, settings, os.environ, now, look=not changes)
        if not changes and (moved := store.moved()):
            say(f"{store.name} was moved to {moved.target}: this is how it was on {moment(moved.at)}.")
        desk = Administration(store, settings, master, secrets, lambda: current_time(store, settings), os.urandom)
        yield _Local(desk, store.name, now)
        if create and master.made:
            say(f"{master.made} was made: {BACK_IT_UP}.")


def all_pages(desk: Desk, operation: Operation[Any, Any], asked: Any) -> Iterator[Any]:
    """Everything that a list has, page by page. `asked` is changed on the way."""
    asked.limit = 200
    while True:
        page = desk.call(operation, asked)
        yield from page.data
        if page.next is None:
            return
        asked.cursor = page.next
