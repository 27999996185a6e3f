"""The argument that names an API key: its id, or `-` for a whole key on standard input.

The key is read before the database is opened: a transaction must not wait for whoever types or pipes it.
"""

from typing import NamedTuple

import click

from hourpass.cli.no_secrets import from_standard_input, id_of_ours
from hourpass.cli.operator.database import Database
from hourpass.core.api_key import ApiKey
from hourpass.server.keys.api_keys import find_key, get_key


class NamedKey(NamedTuple):
    """What was given: a key's id, or the key itself."""

    key_id: str
    unverified_key: str | None

    def __repr__(self) -> str:
        """Without the key."""
        return "NamedKey(…)"


key_argument = click.argument("key_id", metavar="ID|-", callback=id_of_ours)


def read_named(key_id: str) -> NamedKey:
    """What the argument names. Waits for standard input if it is `-`."""
    return NamedKey(key_id, from_standard_input() if key_id == "-" else None)


def find_named(db: Database, named: NamedKey, *, alive: bool = False) -> ApiKey:
    """The key that the argument names, with `alive` not by a secret that has ended. Raises NotFound."""
    if named.unverified_key is not None:
        at = db.now if alive else None
        return find_key(db.store, db.secrets, named.unverified_key, alive_at=at)
    return get_key(db.store, named.key_id)
