"""`hourpass serve`: run the server with the settings from flags, environment and file."""

import os

import click

from hourpass.cli.operator.database import settings_options
from hourpass.server.run.open import default_data
from hourpass.server.serve import serve as run
from hourpass.server.settings.loading import load


@click.command()
@settings_options()
def serve(flags: dict[str, object]) -> None:
    """Start the server. TERM or Ctrl-C drains it: requests in flight finish, new ones are refused.

    Every flag is also an environment variable (HOURPASS_PORT) and a line in hourpass.toml. The flag wins.
    """
    settings, _ = load(flags, os.environ, default_data(os.environ))
    run(settings, environ=os.environ)
