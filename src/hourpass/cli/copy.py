"""`hourpass copy`, and what `hourpass backup` and `restore` share with it: they are copies, too."""

import dataclasses
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import click

from hourpass.cli.operator import json_option, read_settings, settings_options
from hourpass.cli.status_line import StatusLine
from hourpass.cli.terminal import moment, print_json, print_table, say
from hourpass.core.errors import ConfigurationError, StorageUnavailable
from hourpass.server.config import POSTGRESQL, Settings
from hourpass.server.copying import Copied
from hourpass.server.copying import copy as copy_all
from hourpass.server.opening import open_shared_store, open_store, wall_clock
from hourpass.server.sealing import MasterKey, load_master_key
from hourpass.server.store import Store
from hourpass.server.store.sqlite import SqliteStore


def _url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith(("sqlite:", *POSTGRESQL)):
        raise click.BadParameter("must be sqlite:PATH or postgresql://USER@HOST/NAME")
    return value


@click.command()
@click.option("--from", "source_url", metavar="URL", callback=_url, help="where from; the configured database")
@click.option("--to", "target_url", metavar="URL", callback=_url, help="where to, empty; the configured database")
@settings_options("data")
@json_option
def copy(flags: dict[str, object], source_url: str | None, target_url: str | None, as_json: bool) -> None:
    """Copy an installation into an empty database: sqlite:PATH or postgresql://…, either way.

    Of --from and --to, the one that is left out is the configured database. To move without losing anything, stop the
    servers, copy, and start on the copy.
    """
    if source_url is None and target_url is None:
        raise click.UsageError("name --from, --to or both")
    settings = read_settings(flags)
    with (
        closing(open_source(at(settings, source_url))) as source,
        closing(open_store(at(settings, target_url))) as target,
    ):
        transfer = carry_out(source, target, settings)
    transfer.show(as_json=as_json)
    say(f"This is the source as of {moment(transfer.as_of)}; what happened there since is not in the copy.")
    say("It needs the same master key. From now on start servers on one of the two only.")


class Transfer(NamedTuple):
    """What was copied, as it was right after an instant, and whether a master key has opened its secrets."""

    as_of: int
    opened: bool
    tables: list[Copied]

    def show(self, *, as_json: bool) -> None:
        """Tables and counts; as JSON with whole digests."""
        if as_json:
            tables = [table._asdict() for table in self.tables]
            print_json({"as_of": moment(self.as_of), "master_key_opens_it": self.opened, "tables": tables})
        else:
            rows = [(table, rows, f"{sha256[:16]}…") for table, rows, sha256 in self.tables]
            print_table(("table", "rows", "sha256"), rows)


def carry_out(
    source: Store, target: Store, settings: Settings, finish: Callable[[Store], None] = lambda target: None
) -> Transfer:
    """Copy all of the source, with progress on a terminal; `finish` as for `copying.copy`."""
    master = _master_key(settings)
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
    """The master key, if this command can read it: who moves databases need not have it."""
    try:
        return load_master_key(settings.master_key, Path(settings.data), os.environ, create=False)
    except ConfigurationError as error:
        say(f"The master key was not tried on the secrets: {error.detail}.")
        return None


def at(settings: Settings, url: str | None) -> Settings:
    """The settings with another database, if one is named."""
    return settings if url is None else dataclasses.replace(settings, database_url=url)


def open_source(settings: Settings) -> Store:
    """The database that the settings name, only to be read.

    Raises:
        ConfigurationError: where there is none, or it cannot be opened.
    """
    if settings.shares_database:
        return open_shared_store(settings, create=False)
    url = settings.database_url
    path = Path(url.removeprefix("sqlite:")) if url else Path(settings.data) / "hourpass.db"
    if not path.is_file():
        raise ConfigurationError(f"no database at {path}")
    try:
        return SqliteStore(path, read_only=True)
    except StorageUnavailable as error:
        raise ConfigurationError(f"cannot open {path}: {error.detail}") from error
