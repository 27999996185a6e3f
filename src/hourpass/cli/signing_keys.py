"""`hourpass signing-keys`."""

import os

import click

from hourpass.cli.operator import actor, database, database_options, json_option, settings_options
from hourpass.cli.terminal import moment, print_json, print_table, say
from hourpass.core.policy import Policy
from hourpass.core.signing_key import SigningKey, signer, state_of
from hourpass.server.keys import rotate_signing_key


@click.group()
def signing_keys() -> None:
    """List and rotate the keys that sign access tokens."""


@signing_keys.command("list")
@settings_options("data", "database_url", "access_token_lifetime")
@json_option
def list_signing_keys(flags: dict[str, object], as_json: bool) -> None:
    """List the signing keys, oldest first. Those that are gone verify nothing any more."""
    with database(flags) as db:
        # How long a retired key verifies follows from the tokens' lifetime: as the server was told, not the longest.
        facts = [_facts(stored.key, db.now, db.settings.policy()) for stored in db.store.signing_keys()]
    if as_json:
        print_json(facts)
    else:
        columns = ("kid", "algorithm", "state", "published_at", "signs_from", "retired_at")
        print_table(columns, [[fact[column] for column in columns] for fact in facts])


@signing_keys.command()
@database_options
@json_option
def rotate(flags: dict[str, object], as_json: bool) -> None:
    """Publish a new signing key. It signs ten minutes later, when every verifier knows it; the old one retires then."""
    with database(flags) as db:
        old = signer([stored.key for stored in db.store.signing_keys()], db.now, db.policy)
        new = rotate_signing_key(db.store, db.master, db.now, db.policy, os.urandom, actor=actor())
    if as_json:
        print_json({**_facts(new, db.now, db.policy), "retires": old.kid if old else None})
        return
    say(f"{new.kid} is published and signs from {moment(new.signs_from)}.")
    if old:
        say(f"{old.kid} signs until then, and verifies until its last token has expired.")


def _facts(key: SigningKey, now: int, policy: Policy) -> dict[str, object]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": state_of(key, now, policy),
        "published_at": moment(key.published_at),
        "signs_from": moment(key.signs_from),
        "retired_at": moment(key.retired_at),
    }
