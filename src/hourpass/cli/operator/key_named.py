"""The argument that names an API key: its id, or `-` for a whole key on standard input."""

import click

from hourpass.cli.no_secrets import from_standard_input, id_of_ours
from hourpass.cli.operator.database import Database
from hourpass.core.api_key import ApiKey
from hourpass.server.keys.api_keys import find_key, get_key

key_argument = click.argument("key_id", metavar="ID|-", callback=id_of_ours)


def find_named(db: Database, key_id: str) -> ApiKey:
    """The key that the argument names. Raises NotFound."""
    if key_id == "-":
        return find_key(db.store, db.secrets.pepper, db.master, from_standard_input())
    return get_key(db.store, key_id)
