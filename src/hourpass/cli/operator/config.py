"""`hourpass config`: the settings in force, and whether they can be used."""

import os
from pathlib import Path

import click

from hourpass.cli.operator.database import load_settings, read_settings, settings_options
from hourpass.cli.terminal import json_option, print_json, print_table, say
from hourpass.core.errors import ConfigurationError
from hourpass.server.copy import require_not_moved
from hourpass.server.keys.github_keys import GithubKeys
from hourpass.server.keys.master_key import load_master_key
from hourpass.server.keys.sealed import require_opens
from hourpass.server.run.open import database_file, open_store, with_master_key
from hourpass.server.settings.agreement import require_issuer
from hourpass.server.settings.settings import described


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@click.option("--origin", is_flag=True, help="say where each value came from")
@settings_options()
@json_option
def show(flags: dict[str, object], origin: bool, as_json: bool) -> None:
    """Show the settings in force. Secrets are not shown."""
    settings, origins = load_settings(flags)
    values = {name: _shown(name, value.value) for name, value in origins.items()}
    values["issuer"] = settings.public_url()
    values["audience"] = settings.audience or settings.public_url()
    if as_json:
        print_json({n: {"value": v, "origin": origins[n].source} for n, v in values.items()} if origin else values)
    elif origin:
        print_table(("setting", "value", "origin"), [(n, _words(v), origins[n].source) for n, v in values.items()])
    else:
        print_table(("setting", "value"), [(name, _words(value)) for name, value in values.items()])


@config.command()
@settings_options()
def check(flags: dict[str, object]) -> None:
    """Check the settings, data folder, database and master key. Changes nothing."""
    settings = with_master_key(read_settings(flags), os.environ)
    require_issuer(settings)
    if settings.github_leak_keys:
        GithubKeys(Path(settings.github_leak_keys))
    if not Path(settings.data).is_dir():
        say(f"The settings are good. {settings.data} will be made on the first start.")
        return
    if not os.access(settings.data, os.W_OK):
        raise ConfigurationError(f"{settings.data} cannot be written to")
    file = database_file(settings)
    if file is not None and not file.exists():
        say(f"The settings are good. {file} will be made on the first start.")
        return
    store = open_store(settings, create=settings.shares_database)
    try:
        require_not_moved(store)
        for caution in store.cautions():
            say(f"{caution}.")
        pending = store.pending_migrations()
        if not pending:
            store.begin_reading()
            if store.sealed_secrets():
                master = load_master_key(settings.master_key, Path(settings.data), os.environ, create=False)
                require_opens(store, master)
            store.rollback()
    finally:
        store.close()
    say("The settings are good." + (f" The next start applies {', '.join(pending)}." if pending else ""))


def _shown(name: str, value: object) -> object:
    if described()[name].metadata["secret"] and value is not None:
        return "[set]"
    return list(value) if isinstance(value, tuple) else value


def _words(value: object) -> object:
    if isinstance(value, list):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else value
