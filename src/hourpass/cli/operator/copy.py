"""`hourpass copy`, and what `hourpass backup` and `hourpass restore` share with it, because they copy too."""

import dataclasses
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import click

from hourpass.admin.instants import moment
from hourpass.cli.operator.database import read_settings, settings_options
from hourpass.cli.status_line import StatusLine
from hourpass.cli.terminal import json_option, print_json, print_table, say
from hourpass.clocks import wall_clock
from hourpass.core.errors import ConfigurationError, HourpassError, StorageUnavailable
from hourpass.server.copy import Copied, moved_to
from hourpass.server.copy import copy as copy_all
from hourpass.server.keys.master_key import MasterKey, load_master_key
from hourpass.server.run.open import database_file, open_shared_store, open_store, with_master_key
from hourpass.server.settings.settings import POSTGRESQL, Settings
from hourpass.server.store import Store, transaction
from hourpass.server.store.copying import Moved
from hourpass.server.store.sqlite import SqliteStore


def _url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith(("sqlite:", *POSTGRESQL)):
        raise click.BadParameter("must be sqlite:PATH or postgresql://USER@HOST/NAME")
    return value


@click.command()
@click.option(
    "--from", "source_url", metavar="URL", callback=_url, help="the source; the configured database by default"
)
@click.option(
    "--to", "target_url", metavar="URL", callback=_url, help="the target, empty; the configured database by default"
)
@click.option("--undo", is_flag=True, help="use the source again: remove the mark that it was moved")
@click.option("--rehearse", is_flag=True, help="keep the source in use: do not mark it as moved")
@settings_options("data")
@json_option
def copy(
    flags: dict[str, object],
    source_url: str | None,
    target_url: str | None,
    undo: bool,
    rehearse: bool,
    as_json: bool,
) -> None:
    """Copy an installation into an empty database. Both may be SQLite or PostgreSQL.

    If you leave out --from or --to, it is the configured database. To move without losing anything, stop the servers,
    copy, and start them on the copy. The source is then marked as moved: it can be read, but not changed or served.
    """
    settings = read_settings(flags)
    if undo:
        _undo(at(settings, source_url), target_url, as_json=as_json)
        return
    if source_url is None and target_url is None:
        raise click.UsageError("name --from, --to or both")
    with (
        closing(open_source(at(settings, source_url))) as source,
        closing(open_store(at(settings, target_url))) as target,
    ):
        transfer = carry_out(source, target, settings)
        moved = Moved(transfer.as_of, target.name)
        name = source.name
    transfer.show(as_json=as_json)
    say(f"{name} was copied to {moved.target}.")
    say(f"The copy holds the source as of {moment(transfer.as_of)}. What happened there since is not in the copy.")
    say("It needs the same master key. From now on, start servers on only one of the two.")
    if not rehearse:
        _mark(at(settings, source_url), moved)


def _mark(settings: Settings, moved: Moved) -> None:
    """Mark the source, as the last step: if anything went wrong before, servers go on there."""
    try:
        with closing(open_store(settings, create=False)) as source, transaction(source):
            source.mark_moved(moved)
    except HourpassError as error:
        say(f"The source cannot be marked as moved: {error.detail or error.code}. Do not start a server on it.")
    else:
        say("The source is marked as moved: it can be read, but not changed or served.")


def _undo(settings: Settings, target_url: str | None, *, as_json: bool) -> None:
    if target_url is not None:
        raise click.UsageError(
            "--undo works on the source: name it with --from, or leave it out if it is the configured one"
        )
    with closing(open_store(settings, create=False)) as source:
        moved = moved_to(source)
        if moved is not None:
            with transaction(source):
                source.unmark_moved()
        name = source.name
    if as_json:
        print_json({"undone": moved is not None})
    if moved is None:
        say(f"{name} is not marked as moved.")
    else:
        say(f"{name} can be changed and served again. What has happened in {moved.target} since is not in it.")


class Transfer(NamedTuple):
    """What was copied, as it was at the instant `as_of`. `opened` says whether the master key opened its secrets."""

    as_of: int
    opened: bool
    tables: list[Copied]

    def show(self, *, as_json: bool) -> None:
        """Print each table with its rows and its digest. In JSON the digests are whole."""
        if as_json:
            tables = [table._asdict() for table in self.tables]
            print_json({"as_of": moment(self.as_of), "master_key_opens_it": self.opened, "tables": tables})
        else:
            rows = [(table, rows, f"{sha256[:16]}…") for table, rows, sha256 in self.tables]
            print_table(("table", "rows", "sha256"), rows)


def carry_out(
    source: Store, target: Store, settings: Settings, finish: Callable[[Store], None] = lambda target: None
) -> Transfer:
    """Copy all of the source, and show progress on a terminal. `finish` is that of `server.copy.copy`."""
    master = _master_key(settings)
    if moved := moved_to(source):
        say(f"{source.name} was moved to {moved.target}: this is how it was on {moment(moved.at)}.")
    now = wall_clock()
    with StatusLine(sys.stderr, os.environ, wall_clock) as line:
        tables = copy_all(
            source,
            target,
            now,
            master=master,
            progress=lambda table, done, total: line.show(f"{table}: {done:,} of {total:,}"),
            finish=finish,
        )
    return Transfer(now, master is not None, tables)


def _master_key(settings: Settings) -> MasterKey | None:
    """The master key, if this command can read it. You can move a database without it."""
    try:
        settings = with_master_key(settings, os.environ)
        return load_master_key(settings.master_key, Path(settings.data), os.environ, create=False)
    except ConfigurationError as error:
        say(f"Whether the master key opens the secrets was not checked: {error.detail}.")
        return None


def at(settings: Settings, url: str | None) -> Settings:
    """The settings, with the database at `url` if there is one."""
    return settings if url is None else dataclasses.replace(settings, database_url=url)


def open_source(settings: Settings) -> Store:
    """Open the database that the settings name, for reading only.

    Raises:
        ConfigurationError: if it does not exist, or cannot be opened.
    """
    path = database_file(settings)
    if path is None:
        return open_shared_store(settings, create=False)
    if not path.is_file():
        advice = "" if settings.database_url else ": start the server, or name its data folder with --data"
        raise ConfigurationError(f"no database at {path}{advice}")
    try:
        return SqliteStore(path, read_only=True)
    except StorageUnavailable as error:
        raise ConfigurationError(f"cannot open {path}: {error.detail}") from error
