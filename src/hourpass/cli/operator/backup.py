"""`hourpass backup` and `hourpass restore`. A backup is a copy into a new SQLite file, a restore is a copy from it."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from hourpass.admin.instants import moment
from hourpass.cli.operator.copy import at, carry_out, open_source
from hourpass.cli.operator.database import actor, database_options, open_database, read_settings
from hourpass.cli.terminal import json_option, say
from hourpass.clocks import wall_clock
from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, SECOND
from hourpass.core.server_events import Restored
from hourpass.secret_file import new_file
from hourpass.server.keys.api_keys import end_restored_grants
from hourpass.server.run.open import open_store
from hourpass.server.store import Store
from hourpass.server.store.sqlite import SqliteStore


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@database_options
@json_option
def backup(flags: dict[str, object], file: Path, as_json: bool) -> None:
    """Write everything but the master key into FILE, a new file. Servers can keep running."""
    settings = read_settings(flags)
    with closing(open_source(settings)) as source, _backup_file(file) as draft, closing(SqliteStore(draft)) as target:
        transfer = carry_out(source, target, settings)
        target.fold()
    transfer.show(as_json=as_json)
    say(f"{file} holds the installation as of {moment(transfer.as_of)}. It is worth nothing without the master key.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--keep-grants", is_flag=True, help="let clients refresh on; a token that was stolen before the backup works again"
)
@database_options
@json_option
def restore(flags: dict[str, object], file: Path, keep_grants: bool, as_json: bool) -> None:
    """Fill an empty installation from a backup FILE. It may use SQLite or PostgreSQL.

    All grants and access tokens end, so clients exchange their API keys again.
    """
    settings = read_settings(flags)
    policy = settings.policy()._replace(access_token_lifetime=MAX_ACCESS_TOKEN_LIFETIME)
    ended: list[Restored] = []

    def finish(target: Store) -> None:
        if not keep_grants:
            ended.append(end_restored_grants(target, wall_clock(), policy, actor()))

    with closing(open_source(at(settings, f"sqlite:{file}"))) as source, closing(open_store(settings)) as target:
        transfer = carry_out(source, target, settings, finish)
        name = target.name
    if transfer.opened:
        with open_database(flags):
            pass  # it chains the row of the trail that says so, because no server runs
    transfer.show(as_json=as_json)
    say(f"Database: {name}")
    say("Restored. Nothing that happened after the backup is in it: revoke again what was revoked since.")
    for restored in ended:
        say(f"All grants have ended ({restored.grants_ended:,}), with their access tokens.")
        say("Clients exchange their API keys again.")
        # Tokens made in this second are refused too, so wait until it is over: no server starts before.
        time.sleep(max(0, restored.issued_before - wall_clock() / SECOND))


@contextmanager
def _backup_file(path: Path) -> Iterator[Path]:
    """A draft that only its owner can read. It gets its name when it is complete, or never.

    Raises:
        ConfigurationError: if the name is taken, or the file cannot be made.
    """
    try:
        with new_file(path) as draft:
            try:
                yield draft
            finally:
                for beside in ("-wal", "-shm"):
                    Path(f"{draft}{beside}").unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists already: a backup never overwrites a file") from error
    except OSError as error:
        raise ConfigurationError(f"cannot make {path}: {error.strerror}") from error
