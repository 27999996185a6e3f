"""`hourpass keys rotate`."""

import os
from typing import Any

import click

from hourpass.cli.operator.database import Database, actor, change_each, database_options
from hourpass.cli.operator.key_named import NamedKey, find_named, keys_argument, read_all_named
from hourpass.cli.operator.key_options import UNSET, milliseconds_of
from hourpass.cli.terminal import json_option, moment, print_each, say
from hourpass.core.errors import InvalidRequest, RotationUnderWay
from hourpass.core.key_rotation import MAX_OVERLAP
from hourpass.core.policy import DAY, SECOND
from hourpass.server.keys.rotation import rotate_key, rotate_key_at_once


@click.command()
@keys_argument
@click.option(
    "--overlap",
    metavar="24h",
    callback=milliseconds_of(0, MAX_OVERLAP // SECOND),
    help="how long the old secret goes on after the first use of the new one, up to 30d  [24h]",
)
@click.option(
    "--now", "at_once", is_flag=True, help="after a leak: the old secret, its grants and access tokens end at once"
)
@database_options
@json_option
def rotate(flags: dict[str, object], key_ids: tuple[str, ...], overlap: Any, at_once: bool, as_json: bool) -> None:
    """Make the next secrets of API keys. They are shown this once. An old one goes on until the new one is in use.

    Run it again if a new secret was lost before it was used. With --now the old one ends at once, and so do the key's
    grants and their access tokens. `-` reads a whole key from standard input.
    """
    if at_once and overlap is not UNSET:
        raise click.UsageError("after a leak there is no overlap: give --now or --overlap")
    chosen = 0 if at_once else DAY if overlap is UNSET else overlap

    def change(db: Database, named: NamedKey) -> dict[str, object]:
        key_id = find_named(db, named).key_id
        by: dict[str, Any] = {"random": os.urandom, "actor": actor(), "prefix": db.settings.key_prefix}
        try:
            if at_once:
                new = rotate_key_at_once(db.store, db.secrets, key_id, db.now, db.policy, **by)
            else:
                new = rotate_key(db.store, db.secrets, key_id, db.now, overlap=chosen, **by)
        except RotationUnderWay as error:
            until = moment(error.ends_at)
            raise InvalidRequest(f"two secrets of {key_id} are alive: the old one ends at {until}") from None
        return {
            "api_key" if as_json else "api key": new.api_key,
            "key_id": key_id,
            "external_id": new.key.external_id,
            "overlap": chosen // SECOND,
            "expires_at": moment(new.key.expires_at),
        }

    made = change_each(flags, read_all_named(key_ids), change, at_once=at_once)
    print_each(made, as_json=as_json, several=len(key_ids) > 1)
    if as_json:
        return
    if at_once:
        say("A new secret is shown this once. The old one, its grants and their access tokens have ended.")
    else:
        say("A new secret is shown this once. The old one ends when the new one has been in use for the overlap.")
