"""`hourpass keys`: create, list, show and revoke API keys."""

import os
from collections.abc import Callable

import click

from hourpass.cli.no_secrets import from_standard_input, id_of_ours
from hourpass.cli.operator.database import Database, actor, database, database_options, look_at_database
from hourpass.cli.operator.keys_leaked import leaked
from hourpass.cli.operator.keys_pattern import pattern
from hourpass.cli.terminal import json_option, moment, print_facts, print_json, print_table, say
from hourpass.core.address import normal_network
from hourpass.core.api_key import ApiKey
from hourpass.core.policy import MAX_RETRY_WINDOW, SECOND
from hourpass.server.keys.api_keys import all_keys, create_key, find_key, get_key, revoke_key
from hourpass.server.settings.parsers import seconds

Convert = Callable[[click.Context, click.Parameter, str | None], int | None]


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


def _duration(low: int, high: int) -> Convert:
    parse = seconds(low, high)

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
        try:
            return None if value is None else parse(value) * SECOND
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return convert


def _networks(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(map(normal_network, value)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_key_argument = click.argument("key_id", metavar="ID|-", callback=id_of_ours)


@keys.command()
@click.option("--name", required=True, help="the purpose of the key, in words")
@click.option("--scope", default="", metavar='"A B"', help="scopes that its tokens may have, separated by spaces")
@click.option(
    "--environment",
    type=click.Choice(["production", "sandbox"]),
    default="production",
    show_default=True,
    help="the environment of its tokens",
)
@click.option("--subject", help="the tokens' sub, such as an account; the key id by default")
@click.option("--audience", help="the tokens' aud, if it is not the server's")
@click.option(
    "--expires-in", metavar="90d", callback=_duration(1, 3660 * 86400), help="when the key expires; never by default"
)
@click.option(
    "--retry-window",
    metavar="60s",
    callback=_duration(0, MAX_RETRY_WINDOW // SECOND),
    help="its refresh tokens' retry window; the server's by default; 0 is strict single use",
)
@click.option(
    "--allow-ip",
    "allowed_ips",
    metavar="CIDR",
    multiple=True,
    callback=_networks,
    help="a network or address that may use the key; may be repeated",
)
@database_options
@json_option
def create(
    flags: dict[str, object],
    name: str,
    scope: str,
    environment: str,
    subject: str | None,
    audience: str | None,
    expires_in: int | None,
    retry_window: int | None,
    allowed_ips: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make an API key. It is shown only this once, because the server keeps only a digest."""
    with database(flags, create=True) as db:
        new = create_key(
            db.store,
            db.secrets.pepper,
            name=name,
            now=db.now,
            random=os.urandom,
            actor=actor(),
            scope=scope,
            environment="sandbox" if environment == "sandbox" else "production",
            subject=subject,
            audience=audience,
            expires_in=expires_in,
            retry_window=retry_window,
            allowed_ips=allowed_ips,
            prefix=db.settings.key_prefix,
        )
    facts = _facts(new.key, db.now)
    if as_json:
        print_json({"key_id": new.key.key_id, "api_key": new.api_key, **facts})
    else:
        print_facts({"api key": new.api_key, **facts}.items())
        say("The key is shown only this once. Keep it at home.")


@keys.command("list")
@database_options
@json_option
def list_keys(flags: dict[str, object], as_json: bool) -> None:
    """List the API keys."""
    with look_at_database(flags) as db:
        facts = [_facts(key, db.now) for key in all_keys(db.store)]
    if as_json:
        print_json(facts)
    else:
        columns = ("key_id", "name", "environment", "scope", "state", "created_at", "expires_at")
        print_table(columns, [[fact[column] for column in columns] for fact in facts])


@keys.command()
@_key_argument
@database_options
@json_option
def show(flags: dict[str, object], key_id: str, as_json: bool) -> None:
    """Show one API key, and how many grants it has. `-` reads a whole key from standard input."""
    with look_at_database(flags) as db:
        key = _find(db, key_id)
        facts = {**_facts(key, db.now), "grants": db.store.count_grants(key.key_id)}
    print_json(facts) if as_json else print_facts(facts.items())


@keys.command()
@_key_argument
@database_options
@json_option
def revoke(flags: dict[str, object], key_id: str, as_json: bool) -> None:
    """Revoke an API key, its grants and their access tokens. `-` reads a whole key from standard input."""
    with database(flags) as db:
        key_id = _find(db, key_id).key_id
        done = revoke_key(db.store, key_id, db.now, db.policy, actor()) is not None
    if as_json:
        print_json({"key_id": key_id, "revoked": done})
    else:
        say(f"{key_id} is revoked." if done else f"{key_id} was revoked before.")


def _find(db: Database, key_id: str) -> ApiKey:
    if key_id == "-":
        return find_key(db.store, db.secrets.pepper, from_standard_input())
    return get_key(db.store, key_id)


def _facts(key: ApiKey, now: int) -> dict[str, object]:
    state = "active"
    if key.revoked_at is not None:
        state = "revoked"
    elif key.expires_at is not None and now >= key.expires_at:
        state = "expired"
    return {
        "key_id": key.key_id,
        "name": key.name,
        "environment": key.environment,
        "subject": key.subject,
        "scope": key.scope,
        "audience": key.audience,
        "state": state,
        "retry_window": None if key.retry_window is None else key.retry_window // SECOND,
        "allowed_ips": list(key.allowed_ips),
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "revoked_why": key.revoked_why,
    }


keys.add_command(leaked)
keys.add_command(pattern)
