"""The argument that names an API key: its id, or `-` for a whole key on standard input.

The key is read before the database is opened: a transaction must not wait for whoever types or pipes it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import click

from hourpass.cli.no_secrets import from_standard_input, id_of_ours, ids_of_ours
from hourpass.cli.operator.database import Database
from hourpass.cli.terminal import print_each, say
from hourpass.core.api_key import ApiKey
from hourpass.server.keys.api_keys import find_key, get_key


class NamedKey(NamedTuple):
    """What was given: a key's id, or the key itself."""

    key_id: str
    unverified_key: str | None

    def __repr__(self) -> str:
        """Without the key."""
        return "NamedKey(…)"


keys_argument = click.argument("key_ids", metavar="ID…|-", nargs=-1, required=True, callback=ids_of_ours)

key_argument = click.argument("key_id", metavar="ID|-", callback=id_of_ours)


def read_named(key_id: str) -> NamedKey:
    """What the argument names. Waits for standard input if it is `-`."""
    return NamedKey(key_id, from_standard_input() if key_id == "-" else None)


def read_all_named(key_ids: Sequence[str]) -> list[NamedKey]:
    """What the arguments name. Raises UsageError if `-` is not the only one."""
    if "-" in key_ids and len(key_ids) > 1:
        raise click.UsageError("- reads one key from standard input, so it stands alone")
    return [read_named(key_id) for key_id in key_ids]


def tell_each(done: Iterable[tuple[str, bool]], state: str, *, as_json: bool, several: bool) -> None:
    """Say of each key, as it comes, that it is in a state now (true), or was before."""
    if as_json:
        facts: Iterator[dict[str, object]] = ({"key_id": key_id, state: changed} for key_id, changed in done)
        print_each(facts, as_json=True, several=several)
        return
    for key_id, changed in done:
        say(f"{key_id} is {state}." if changed else f"{key_id} was {state} before.")


def find_named(db: Database, named: NamedKey, *, alive: bool = False) -> ApiKey:
    """The key that the argument names, with `alive` not by a secret that has ended. Raises NotFound."""
    if named.unverified_key is not None:
        at = db.now if alive else None
        return find_key(db.store, db.secrets, named.unverified_key, alive_at=at)
    return get_key(db.store, named.key_id)
