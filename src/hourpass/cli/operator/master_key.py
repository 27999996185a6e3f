"""`hourpass master-key`: which master key sealed what, and how another one takes its place."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
from filelock import Timeout

from hourpass.cli.operator.copy import open_source
from hourpass.cli.operator.database import actor, database_options, read_settings
from hourpass.cli.terminal import confirm, json_option, print_json, print_table, say
from hourpass.core.errors import ConfigurationError
from hourpass.ownership import own_lock
from hourpass.secret_file import sweep
from hourpass.server.keys.audit_chain import chain_own_rows
from hourpass.server.keys.master_key import (
    BACK_IT_UP,
    MASTER_KEY_BYTES,
    key_file,
    load_master_key,
    read_key_file,
    write_key_file,
)
from hourpass.server.keys.sealed import Resealed, Sealing, require_opens, reseal, sealings
from hourpass.server.run.open import DATABASE_NAME, current_time, open_secrets, open_store, with_master_key
from hourpass.server.settings.settings import Settings
from hourpass.server.store import reading, transaction


@click.group()
def master_key() -> None:
    """Show and replace the master key. No command prints a key: an id names it and tells nothing about it."""


@master_key.command()
@database_options
@json_option
def status(flags: dict[str, object], as_json: bool) -> None:
    """Show the ids of the master keys that are given, and how many values each one seals in the database."""
    settings = with_master_key(read_settings(flags), os.environ)
    with closing(open_source(settings)) as store:
        master = load_master_key(settings.master_key, Path(settings.data), os.environ, create=False)
        if behind := store.pending_migrations():
            raise ConfigurationError(f"{store.name} is behind this program ({', '.join(behind)}): migrate it first")
        with reading(store):
            found = sealings(store, master)
    if as_json:
        print_json([each._asdict() for each in found])
        return
    print_table(
        ("key", "given", "seals"), [(each.key_id, "yes" if each.given else "no", each.values) for each in found]
    )
    complete = all(each.given for each in found)
    for each in found:
        say(_advice(each, first=each is found[0], complete=complete))


def _advice(sealing: Sealing, *, first: bool, complete: bool) -> str:
    """What to do about a key. `complete` says whether all that are needed are given."""
    if not sealing.given:
        return f"{sealing.key_id} is needed and not given: give it, alone or after the others."
    if sealing.values:
        return f"{sealing.key_id} is needed."
    if not complete:
        return f"{sealing.key_id} seals nothing here."
    return f"{sealing.key_id} seals nothing yet: rotate." if first else f"{sealing.key_id} is not needed here any more."


@master_key.command()
@click.option("--yes", is_flag=True, help="do not ask; needed if nobody can answer")
@database_options
@json_option
def rotate(flags: dict[str, object], yes: bool, as_json: bool) -> None:
    """Seal everything by a new master key. Servers can keep running.

    If the key is the file master.key beside a SQLite database, this makes the new one and drops the old one.
    Otherwise give every node both keys first, the new one before the old one, and drop the old one at the end.
    """
    settings = with_master_key(read_settings(flags), os.environ)
    path = None if settings.shares_database else key_file(settings.master_key, Path(settings.data), os.environ)
    if path is None:
        done = _reseal(settings)
    else:
        # First: it also refuses a folder or a file that is not ours, before anything is made there.
        _require_opens(settings)
        _require_alone_in_folder(settings, path)
        if not yes:
            confirm(f"Backups made until now need the key that is in {path} now. Do you have a copy, and rotate?")
        with _alone(path):
            sweep(path)  # a command that was killed may have left both keys there
            keys = read_key_file(path)
            if len(keys) == 1:
                # Both are in the file before anything is sealed, so a command that was killed is just run again.
                keys = [os.urandom(MASTER_KEY_BYTES), *keys]
                write_key_file(path, keys)
            done = _reseal(settings)
            write_key_file(path, keys[:1])
    if as_json:
        print_json(done._asdict())
        return
    say(f"{done.key_id} seals everything: {done.values} values were sealed again.")
    if path is not None:
        say(f"It is in {path}: {BACK_IT_UP}.")
    for other in done.others:
        say(
            f"{other} is gone from there. Backups made until now need it."
            if path
            else f"{other} is not needed any more, except for backups made until now: take it from every node."
        )


def _require_opens(settings: Settings) -> None:
    with closing(open_store(settings, create=False)) as store:
        master, _ = open_secrets(store, settings, os.environ, current_time(store, settings))
        with reading(store):
            require_opens(store, master)


def _reseal(settings: Settings) -> Resealed:
    with closing(open_store(settings, create=False)) as store:
        now = current_time(store, settings)
        master, secrets = open_secrets(store, settings, os.environ, now)
        with transaction(store):
            done = reseal(store, master, now, actor=actor())
            chain_own_rows(store, secrets, now)
            return done


def _require_alone_in_folder(settings: Settings, path: Path) -> None:
    """Require that the data folder's own database is the one that is named: another one would lose its key."""
    own = path.with_name(DATABASE_NAME)
    named = Path((settings.database_url or f"sqlite:{own}").removeprefix("sqlite:"))
    if own.exists() and not (named.exists() and own.samefile(named)):
        raise ConfigurationError(
            f"{own} needs the key in {path}, too, and would lose it: give each database a data folder of its own"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two commands at once would each make a key, and one would overwrite the other's."""
    lock = own_lock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigurationError(f"another command replaces {path} at this moment") from None
    try:
        yield
    finally:
        lock.release()
