"""`hourpass signing-keys`: list, rotate and withdraw the keys that sign access tokens."""

import os

import click

from hourpass.admin.instants import moment
from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.database import actor, database, database_options, look_at_database, settings_options
from hourpass.cli.terminal import confirm, json_option, print_json, print_table, say
from hourpass.core.policy import Policy
from hourpass.core.signing_key import SigningKey, key_that_signs, signing_key_state
from hourpass.server.keys.signing_keys import rotate_signing_key, withdraw_signing_key


@click.group()
def signing_keys() -> None:
    """List, rotate and withdraw the keys that sign access tokens."""


@signing_keys.command("list")
@settings_options("data", "database_url", "access_token_lifetime")
@json_option
def list_signing_keys(flags: dict[str, object], as_json: bool) -> None:
    """List the signing keys, oldest first. A key that is gone verifies nothing any more."""
    with look_at_database(flags) as db:
        # A retired key verifies for as long as a token lives: by the server's setting, not the longest lifetime.
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
    """Publish a new signing key. Ten minutes later every verifier knows it, it signs, and the old one retires."""
    with database(flags) as db:
        old = key_that_signs([stored.key for stored in db.store.signing_keys()], db.now, db.policy)
        new = rotate_signing_key(db.store, db.master, db.now, db.policy, os.urandom, actor=actor())
    if as_json:
        print_json({**_facts(new, db.now, db.policy), "retires": old.kid if old else None})
        return
    say(f"{new.kid} is published and signs from {moment(new.signs_from)}.")
    if old:
        say(f"{old.kid} signs until then, and verifies tokens until the last one has expired.")


@signing_keys.command()
@click.argument("kid", metavar="KID", callback=id_of_ours)
@click.option("--yes", is_flag=True, help="do not ask; needed if nobody can answer")
@database_options
@json_option
def withdraw(flags: dict[str, object], kid: str, yes: bool, as_json: bool) -> None:
    """Withdraw a compromised signing key at once. Every token that it signed is refused, and clients must refresh.

    This server notices within a second. A verifier elsewhere notices when it next fetches the key set, which can take
    four minutes. A key that signs, or waits to sign, is replaced by a fresh one.
    """
    if not yes:
        confirm(f"Every access token that {kid} signed will be refused. Withdraw it?")
    with database(flags) as db:
        fresh = withdraw_signing_key(db.store, db.master, kid, db.now, db.policy, os.urandom, actor=actor())
    if as_json:
        print_json({"kid": kid, "stand_in": None if fresh is None else _facts(fresh, db.now, db.policy)})
        return
    say(f"{kid} is withdrawn: every token that it signed is refused.")
    if fresh is not None:
        say(f"{fresh.kid} signs in its place from {moment(fresh.signs_from)}.")


def _facts(key: SigningKey, now: int, policy: Policy) -> dict[str, object]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": signing_key_state(key, now, policy),
        "published_at": moment(key.published_at),
        "signs_from": moment(key.signs_from),
        "retired_at": moment(key.retired_at),
    }
