"""`hourpass migrate`: bring the schema up to date before the next start does."""

import sys

import click

from hourpass.cli.operator.database import database_options, read_settings
from hourpass.cli.terminal import say
from hourpass.clocks import wall_clock
from hourpass.server.copy import require_not_moved
from hourpass.server.run.open import open_store


@click.command()
@click.option("--check", is_flag=True, help="only list what would be applied; exit 1 if anything would")
@database_options
def migrate(flags: dict[str, object], check: bool) -> None:
    """Bring the database's schema up to date. Starting the server does that too."""
    store = open_store(read_settings(flags), create=not check)
    try:
        if not check:
            require_not_moved(store)
        names = store.pending_migrations() if check else store.migrate(wall_clock())
        if names:
            say(f"Database: {store.name}")
    finally:
        store.close()
    for name in names:
        print(name)
    say(f"{len(names)} to apply." if check else f"{len(names)} applied.")
    if check and names:
        sys.exit(1)
