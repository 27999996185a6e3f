"""`hourpass signing-keys`: list, rotate and withdraw the keys that sign access tokens."""

import click
import msgspec

from hourpass.admin import operations, shapes
from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import database_options, settings_options
from hourpass.cli.terminal import confirm, json_option, print_json, print_table, say


@click.group()
def signing_keys() -> None:
    """List, rotate and withdraw the keys that sign access tokens."""


@signing_keys.command("list")
@settings_options("data", "database_url", "access_token_lifetime")
@json_option
def list_signing_keys(flags: dict[str, object], as_json: bool) -> None:
    """List the signing keys, oldest first. A key that is gone verifies nothing any more."""
    with administration(flags) as desk:
        facts = msgspec.to_builtins(desk.call(operations.LIST_SIGNING_KEYS, shapes.Nothing()).data)
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
    with administration(flags, changes=True) as desk:
        new = desk.call(operations.ROTATE_SIGNING_KEYS, shapes.Nothing())
    say(desk.name)
    if as_json:
        print_json(msgspec.to_builtins(new))
        return
    say(f"{new.kid} is published and signs from {new.signs_from}.")
    if new.retires:
        say(f"{new.retires} signs until then, and verifies tokens until the last one has expired.")


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
    with administration(flags, changes=True) as desk:
        done = desk.call(operations.WITHDRAW_SIGNING_KEY, shapes.SigningKeyNamed(kid=kid))
    say(desk.name)
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    say(f"{kid} is withdrawn: every token that it signed is refused.")
    if done.stand_in is not None:
        say(f"{done.stand_in.kid} signs in its place from {done.stand_in.signs_from}.")
