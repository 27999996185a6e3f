"""`hourpass keys rotate`."""

import os
from typing import Any

import click

from hourpass.cli.operator.database import actor, database, database_options
from hourpass.cli.operator.key_named import find_named, key_argument
from hourpass.cli.operator.key_options import UNSET, milliseconds_of
from hourpass.cli.terminal import json_option, moment, print_facts, print_json, say
from hourpass.core.errors import InvalidRequest, RotationUnderWay
from hourpass.core.key_rotation import MAX_OVERLAP
from hourpass.core.policy import DAY, SECOND
from hourpass.server.keys.rotation import rotate_key


@click.command()
@key_argument
@click.option(
    "--overlap",
    metavar="24h",
    callback=milliseconds_of(0, MAX_OVERLAP // SECOND),
    help="how long the old secret goes on after the first use of the new one, up to 30d  [24h]",
)
@database_options
@json_option
def rotate(flags: dict[str, object], key_id: str, overlap: Any, as_json: bool) -> None:
    """Make the next secret of an API key. It is shown this once, and the old one goes on until the new one is in use.

    Run it again if the new secret was lost before it was used. `-` reads a whole key from standard input.
    """
    with database(flags) as db:
        key = find_named(db, key_id)
        chosen = DAY if overlap is UNSET else overlap
        try:
            new = rotate_key(
                db.store,
                db.secrets,
                key.key_id,
                db.now,
                overlap=chosen,
                random=os.urandom,
                actor=actor(),
                prefix=db.settings.key_prefix,
            )
        except RotationUnderWay as error:
            until = moment(error.ends_at)
            raise InvalidRequest(f"two secrets of {key.key_id} are alive: the old one ends at {until}") from None
    facts: dict[str, object] = {
        "key_id": new.key.key_id,
        "overlap": chosen // SECOND,
        "expires_at": moment(new.key.expires_at),
    }
    if as_json:
        print_json({"api_key": new.api_key, **facts})
    else:
        print_facts({"api key": new.api_key, **facts}.items())
        say("The new secret is shown this once. The old one ends when the new one has been in use for the overlap.")
