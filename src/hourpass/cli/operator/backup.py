"""`hourpass backup` and `hourpass restore`: a backup is a copy into a SQLite file of its own, restoring one from it."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from hourpass.cli.operator.copy import at, carry_out, open_source
from hourpass.cli.operator.database import actor, database_options, read_settings
from hourpass.cli.terminal import json_option, moment, say
from hourpass.clocks import wall_clock
from hourpass.core.audit import Restored
from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, SECOND
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
    """Write everything but the master key into FILE, which must not exist yet. Servers go on meanwhile."""
    settings = read_settings(flags)
    with closing(open_source(settings)) as source, _backup_file(file) as draft, closing(SqliteStore(draft)) as target:
        transfer = carry_out(source, target, settings)
        target.fold()
    transfer.show(as_json=as_json)
    say(f"{file} is the installation as of {moment(transfer.as_of)}. It is worth nothing without the master key.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--keep-grants", is_flag=True, help="let clients refresh on; a token that was stolen before the backup works again"
)
@database_options
@json_option
def restore(flags: dict[str, object], file: Path, keep_grants: bool, as_json: bool) -> None:
    """Fill an empty installation from a backup FILE; its database may be of the other kind.

    All grants end, and all access tokens: clients exchange their API keys again.
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
    transfer.show(as_json=as_json)
    say(f"Database: {name}")
    say("Restored. What happened after the backup is forgotten: revoke again what was revoked since.")
    for restored in ended:
        say(f"All grants have ended ({restored.grants_ended:,}), with their access tokens.")
        say("Clients exchange their API keys again.")
        # A token of the second in which it was restored would be refused, too: no server starts within it.
        time.sleep(max(0, restored.issued_before - wall_clock() / SECOND))


@contextmanager
def _backup_file(path: Path) -> Iterator[Path]:
    """A draft to fill, for its owner alone, that gets its name at the end or not at all.

    Raises:
        ConfigurationError: where the name is taken, or no file can be made there.
    """
    try:
        with new_file(path) as draft:
            try:
                yield draft
            finally:
                for beside in ("-wal", "-shm"):
                    Path(f"{draft}{beside}").unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists already, and a backup overwrites nothing") from error
    except OSError as error:
        raise ConfigurationError(f"cannot make {path}: {error.strerror}") from error
