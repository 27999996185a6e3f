"""`hourpass keys`: create, list, show and revoke API keys."""

import os
from collections.abc import Callable
from typing import Any, get_args

import click

from hourpass.cli.operator.database import (
    Database,
    actor,
    change_each,
    database,
    database_options,
    look_at_database,
)
from hourpass.cli.operator.key_facts import key_facts, use_facts, use_in_words
from hourpass.cli.operator.key_named import (
    NamedKey,
    find_named,
    key_argument,
    keys_argument,
    read_all_named,
    read_named,
    tell_each,
)
from hourpass.cli.operator.key_options import LONGEST, UNSET, member_options, milliseconds_of, pairs
from hourpass.cli.operator.keys_edit import disable, enable, update
from hourpass.cli.operator.keys_import import import_file
from hourpass.cli.operator.keys_leaked import leaked
from hourpass.cli.operator.keys_pattern import pattern
from hourpass.cli.operator.keys_rotate import rotate
from hourpass.cli.terminal import json_option, print_facts, print_json, print_table, say
from hourpass.core.api_key import KeyState
from hourpass.core.grant import state_of
from hourpass.core.key_filter import KeyFilter
from hourpass.server.keys.api_keys import all_grants, create_key, last_uses_of, revoke_key
from hourpass.server.keys.listing import find_keys


@click.group()
def keys() -> None:
    """Create, list, change, rotate and revoke API keys."""


@keys.command()
@click.option("--name", required=True, help="the purpose of the key, in words")
@click.option(
    "--environment",
    type=click.Choice(["production", "sandbox"]),
    default="production",
    show_default=True,
    help="the environment of its tokens",
)
@click.option("--subject", help="the tokens' sub, such as an account; the key id by default")
@member_options
@database_options
@json_option
def create(
    flags: dict[str, object],
    name: str,
    environment: str,
    subject: str | None,
    members: Callable[[int], dict[str, Any]],
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
            environment="sandbox" if environment == "sandbox" else "production",
            subject=subject,
            prefix=db.settings.key_prefix,
            **members(db.now),
        )
    facts = key_facts(new.key, db.now)
    if as_json:
        print_json({"key_id": new.key.key_id, "api_key": new.api_key, **facts})
    else:
        print_facts({"api key": new.api_key, **facts}.items())
        say("The key is shown only this once. Keep it at home.")


@keys.command("list")
@click.option("--state", type=click.Choice(get_args(KeyState)), help="only those in this state")
@click.option("--subject", help="only those of this subject")
@click.option("--tag", "tags", multiple=True, callback=pairs, metavar="NAME=TEXT", help="only those with this tag")
@click.option(
    "--expires-within",
    metavar="30d",
    callback=milliseconds_of(1, LONGEST),
    help="only those that expire by then",
)
@click.option(
    "--raw-since",
    metavar="7d",
    callback=milliseconds_of(1, LONGEST),
    help="only those that were sent themselves within this time, and not exchanged first",
)
@click.option(
    "--unused-for",
    metavar="90d",
    callback=milliseconds_of(1, LONGEST),
    help="only those that were not used in any way for this long, or never since they were made",
)
@click.option("--external-id", help="only the one with this id of yours")
@click.option("--next-waits", is_flag=True, help="only those whose next secret was not used yet")
@database_options
@json_option
def list_keys(
    flags: dict[str, object],
    state: KeyState | None,
    subject: str | None,
    tags: dict[str, str],
    expires_within: Any,
    raw_since: Any,
    unused_for: Any,
    external_id: str | None,
    next_waits: bool,
    as_json: bool,
) -> None:
    """List the API keys. Several conditions combine with AND."""
    with look_at_database(flags) as db:
        before = None if expires_within is UNSET else db.now + expires_within
        raw, unused = (None if each is UNSET else db.now - each for each in (raw_since, unused_for))
        wanted = KeyFilter(state, subject, tuple(tags.items()), before, raw, unused, external_id, next_waits)
        found = list(find_keys(db.store, wanted, db.now))
        facts = [{**key_facts(key, db.now), "last_used": use_facts(uses)} for key, uses in found]
    if as_json:
        print_json(facts)
    else:
        columns = ("key_id", "name", "environment", "scope", "state", "created_at", "expires_at")
        rows = (
            [*(fact[column] for column in columns), use_in_words(uses)]
            for fact, (_, uses) in zip(facts, found, strict=True)
        )
        print_table([*columns, "last_used"], rows)


@keys.command()
@key_argument
@database_options
@json_option
def show(flags: dict[str, object], key_id: str, as_json: bool) -> None:
    """Show one API key, and how many live grants it has. `-` reads a whole key from standard input."""
    named = read_named(key_id)
    with look_at_database(flags) as db:
        key = find_named(db, named)
        uses = last_uses_of(db.store, key.key_id)
        live = sum(
            state_of(grant, key, db.now, db.secrets.refresh_since) == "live"
            for grant in all_grants(db.store, key.key_id)
        )
        facts = {**key_facts(key, db.now), "grants": live, "last_used": use_facts(uses)}
    if as_json:
        print_json(facts)
    else:
        each = {f"last {kind}": use_in_words({kind: use}) for kind, use in sorted(uses.items())}
        print_facts({**{n: f for n, f in facts.items() if n != "last_used"}, **(each or {"last used": None})}.items())


@keys.command()
@keys_argument
@database_options
@json_option
def revoke(flags: dict[str, object], key_ids: tuple[str, ...], as_json: bool) -> None:
    """Revoke API keys, their grants and their access tokens. `-` reads a whole key from standard input."""

    def end(db: Database, named: NamedKey) -> tuple[str, bool]:
        key_id = find_named(db, named, alive=True).key_id
        return key_id, revoke_key(db.store, key_id, db.now, db.policy, actor()) is not None

    done = change_each(flags, read_all_named(key_ids), end)
    tell_each(done, "revoked", as_json=as_json, several=len(key_ids) > 1)


for _command in (update, disable, enable, rotate, import_file, leaked, pattern):
    keys.add_command(_command)
