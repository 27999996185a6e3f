"""Opens what the settings name: the data folder, the database, the secrets. For the server and the operator's commands.

This is the only place that names a concrete store.
"""

import dataclasses
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from hourpass.clocks import wall_clock
from hourpass.core.errors import ConfigurationError, ExtraMissing, StorageUnavailable
from hourpass.core.signing_key import Algorithm
from hourpass.home import folder_for
from hourpass.ownership import require_own_database, require_own_folder
from hourpass.server.copy import require_not_moved
from hourpass.server.keys.key_command import key_from_command
from hourpass.server.keys.master_key import MasterKey, load_master_key
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.keys.signing_keys import prepare
from hourpass.server.settings.settings import Settings
from hourpass.server.store import SharedStore, Store, reading, transaction
from hourpass.server.store.connection import Unreachable
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.store.sqlite_connection import CACHE, SMALL_CACHE

STATE_BELOW_HOME = "Library/Application Support" if sys.platform == "darwin" else ".local/state"
"""The folder below the home in which programs keep data that must last."""

DATABASE_NAME = "hourpass.db"
"""The database in the data folder, if the settings name no other one."""

log = logging.getLogger("hourpass")

LOOK_AGAIN = 0.2
"""Seconds between two attempts to reach a database that is not up yet."""


def database_file(settings: Settings) -> Path | None:
    """The SQLite file that the settings name. None if they name a database server."""
    if settings.shares_database:
        return None
    url = settings.database_url
    return Path(url.removeprefix("sqlite:")) if url else Path(settings.data) / DATABASE_NAME


def open_store(settings: Settings, *, create: bool = True, small: bool = False) -> Store:
    """The database that the settings name. If its folder or file is missing, it is made, unless `create` is false.

    With `small` it takes little memory, for a command which goes through many rows once.

    Raises:
        ConfigurationError: if the folder cannot be made, or the file cannot be opened or must not be made.
    """
    path = database_file(settings)
    if path is None:
        return open_shared_store(settings, create=create)
    if not create and not path.exists():
        raise ConfigurationError(f"no database at {path}: start the server, or name its data folder with --data")
    if create:
        make_data_folder(settings)
    elif Path(settings.data).is_dir():
        require_own_folder(Path(settings.data))
    try:
        if not str(path).startswith(":"):
            require_own_database(path)
            # Only its owner may read it, even if the umask allows more. The log beside it gets the same mode.
            if create:
                path.touch(mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot make {path}: {error.strerror}") from error
    try:
        return SqliteStore(path, durability=settings.durability, cache=SMALL_CACHE if small else CACHE)
    except StorageUnavailable as error:
        raise ConfigurationError(f"cannot open {path}: {error.detail}") from error


def current_time(store: Store, settings: Settings) -> int:
    """Epoch milliseconds by the clock that every node on this database uses: the database's, if it has one.

    Raises:
        StorageUnavailable: if the database cannot be asked.
    """
    return cast("SharedStore", store).time() if settings.shares_database else wall_clock()


def open_shared_store(settings: Settings, *, create: bool = True) -> SharedStore:
    """A connection to the database server that the settings name. If `create` is false, it must have its tables.

    Raises:
        ConfigurationError: if it cannot be connected to, or does not have its tables and `create` is false.
    """
    try:
        from hourpass.server.store.postgres import PostgresStore  # an extra
    except ImportError as error:
        raise ExtraMissing.of("postgres", "database_url: PostgreSQL needs an extra") from error
    try:
        store = PostgresStore(settings.database_url or "", durability=settings.durability)
        if create:
            make_data_folder(settings)
        elif not store.is_migrated():
            store.close()
            raise ConfigurationError("no hourpass in this database: start the server, or name another with --database")
    except StorageUnavailable as error:
        raise ConfigurationError(f"cannot open the database: {error.detail}") from error
    return store


def data_flags(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The flags with which a command of the same user finds the data folder. None if it finds it by itself."""
    if settings.data == default_data(environ):
        return ()
    return "--data", str(Path(settings.data).absolute())


def wait_for_database(settings: Settings) -> None:
    """Return when the database server can be connected to, or when the time that the settings allow is over.

    If the database is still down then, the next attempt to open it reports the error.
    """
    began = time.monotonic()
    said = False
    while (waited := time.monotonic() - began) < settings.wait_for_database:
        try:
            open_shared_store(settings).close()
        except ConfigurationError as error:
            if not isinstance(error.__cause__, Unreachable):
                raise
            if not said:
                facts = {"detail": error.detail, "up_to_seconds": settings.wait_for_database}
                log.warning("waiting for the database", extra=facts)
                said = True
            time.sleep(LOOK_AGAIN)
        else:
            if said:
                log.info("the database is up", extra={"after_seconds": round(waited, 1)})
            return


def make_data_folder(settings: Settings) -> None:
    """Make the data folder, for its owner alone. If it exists, it must belong to us.

    Raises:
        ConfigurationError: if it cannot be made, or others can write into it.
    """
    try:
        Path(settings.data).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the data folder {settings.data}: {error.strerror}") from error
    require_own_folder(Path(settings.data))


def with_master_key(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with the master key that `master_key_command` prints, if it is set.

    Call it once for each start, outside of any transaction: the program may take its time.

    Raises:
        ConfigurationError: if the program fails.
    """
    if not settings.master_key_command:
        return settings
    key = key_from_command(settings.master_key_command, environ)
    return dataclasses.replace(settings, master_key=key, master_key_command=())


def open_secrets(
    store: Store, settings: Settings, environ: Mapping[str, str], now: int, *, serving: bool = False, look: bool = False
) -> tuple[MasterKey, Secrets]:
    """Bring the schema up to date, and make or open the secrets. A caller that only wants to `look` changes nothing.

    Raises:
        ConfigurationError: if the schema or the master key does not fit. For a caller that looks also if the schema is
            old or a secret is missing, and for every other one if the installation was moved to another database.
    """
    if look:
        return _look_at_secrets(store, settings, environ, now)
    require_not_moved(store)
    settings = with_master_key(settings, environ)
    store.migrate(now)
    with transaction(store):
        fresh = not store.sealed_secrets("pepper")
        master = load_master_key(settings.master_key, Path(settings.data), environ, create=fresh)
        algorithm: Algorithm = settings.signing_algorithm  # type: ignore[assignment]
        secrets = prepare(store, master, algorithm, now, settings.policy(), os.urandom, serving=serving)
    return master, secrets


def _look_at_secrets(
    store: Store, settings: Settings, environ: Mapping[str, str], now: int
) -> tuple[MasterKey, Secrets]:
    pending = store.pending_migrations()
    if pending and store.is_migrated():
        named = f"{pending[0]} to {pending[-1]}" if len(pending) > 1 else pending[0]
        raise ConfigurationError(
            f"{store.name} is older than this program, and a command that only looks changes nothing "
            f"(it lacks {named}): start the server of this version, or run hourpass migrate"
        )
    settings = with_master_key(settings, environ)
    sealed = []
    if not pending:
        with reading(store):
            sealed = store.sealed_secrets()
    if not sealed:
        raise ConfigurationError(f"{store.name} is empty: start the server, or make a key")
    master = load_master_key(settings.master_key, Path(settings.data), environ, create=False)
    secrets = Secrets(master, sealed, now, settings.policy())
    if not secrets.is_whole:
        raise ConfigurationError(f"a secret of {store.name} is not made yet: start the server of this version")
    return master, secrets


def default_data(environ: Mapping[str, str]) -> str | None:
    """`$XDG_STATE_HOME/hourpass`, or the folder that the platform has for this. None if the user has no home."""
    folder = folder_for("STATE", STATE_BELOW_HOME, environ)
    return str(folder / "hourpass") if folder else None
