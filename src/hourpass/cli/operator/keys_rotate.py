"""`hourpass keys rotate`."""

from typing import Any

import click
import msgspec
from msgspec import UNSET

from hourpass.admin import operations, shapes
from hourpass.cli.operator.database import database_options
from hourpass.cli.operator.key_named import change_named, keys_argument
from hourpass.cli.operator.key_options import seconds_of
from hourpass.cli.terminal import json_option, print_each, say
from hourpass.core.key_rotation import MAX_OVERLAP
from hourpass.core.policy import SECOND


@click.command()
@keys_argument
@click.option(
    "--overlap",
    metavar="24h",
    callback=seconds_of(0, MAX_OVERLAP // SECOND),
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
    if at_once and overlap is not None:
        raise click.UsageError("after a leak there is no overlap: give --now or --overlap")
    chosen = UNSET if overlap is None else overlap

    def facts(rotated: shapes.RotatedKey) -> dict[str, object]:
        told: dict[str, object] = msgspec.to_builtins(rotated)
        return told if as_json else {"api key": told.pop("api_key"), **told}

    made = change_named(
        flags,
        key_ids,
        operations.ROTATE_KEY,
        lambda key_id: shapes.RotateKey(key_id=key_id, overlap=chosen, now=at_once),
    )
    print_each(map(facts, made), as_json=as_json, several=len(key_ids) > 1)
    if as_json:
        return
    if at_once:
        say("A new secret is shown this once. The old one, its grants and their access tokens have ended.")
    else:
        say("A new secret is shown this once. The old one ends when the new one has been in use for the overlap.")
