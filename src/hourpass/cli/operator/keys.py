"""`hourpass keys`: create, list, show and revoke API keys."""

from collections.abc import Callable
from typing import Any, get_args

import click
import msgspec
from msgspec import UNSET

from hourpass.admin import operations, shapes
from hourpass.cli.operator.administration import administration, all_pages
from hourpass.cli.operator.database import database_options
from hourpass.cli.operator.key_facts import use_in_words
from hourpass.cli.operator.key_named import change_named, find_named, key_argument, keys_argument, read_named, tell_each
from hourpass.cli.operator.key_options import LONGEST, member_options, pairs, seconds_of, tell_of_prefix
from hourpass.cli.operator.keys_edit import disable, enable, update
from hourpass.cli.operator.keys_import import import_file
from hourpass.cli.operator.keys_leaked import leaked
from hourpass.cli.operator.keys_pattern import pattern
from hourpass.cli.operator.keys_rotate import rotate
from hourpass.cli.terminal import json_option, print_facts, print_json, print_table, say
from hourpass.core.admin_access import ROLES, role_in_words
from hourpass.core.api_key import KeyState


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
    environment: Any,
    subject: str | None,
    members: Callable[[int], dict[str, Any]],
    as_json: bool,
) -> None:
    """Make an API key. It is shown only this once, because the server keeps only a digest."""
    with administration(flags, changes=True, create=True) as desk:
        asked = shapes.CreateKey(name=name, environment=environment, subject=subject or UNSET, **members(desk.now))
        new = desk.call(operations.CREATE_KEY, asked)
    say(desk.name)
    facts = msgspec.to_builtins(new)
    api_key = facts.pop("api_key")
    if as_json:
        print_json({"key_id": new.key_id, "api_key": api_key, **facts})
    else:
        print_facts({"api key": api_key, **facts}.items())
        say("The key is shown only this once. Keep it at home.")
    tell_of_prefix(new.subject_prefix)


@keys.command("list")
@click.option("--state", type=click.Choice(get_args(KeyState)), help="only those in this state")
@click.option("--subject", help="only those of this subject")
@click.option("--tag", "tags", multiple=True, callback=pairs, metavar="NAME=TEXT", help="only those with this tag")
@click.option("--expires-within", metavar="30d", callback=seconds_of(1, LONGEST), help="only those that expire by then")
@click.option(
    "--raw-since",
    metavar="7d",
    callback=seconds_of(1, LONGEST),
    help="only those that were sent themselves within this time, and not exchanged first",
)
@click.option(
    "--unused-for",
    metavar="90d",
    callback=seconds_of(1, LONGEST),
    help="only those that were not used in any way for this long, or never since they were made",
)
@click.option("--text", help="only those with this in the name, the subject, the key id or the external id")
@click.option("--external-id", help="only the one with this id of yours")
@click.option("--admin", type=click.Choice(["any", *ROLES]), help="only admin keys: of any role, or of one")
@click.option("--next-waits", is_flag=True, help="only those whose next secret was not used yet")
@database_options
@json_option
def list_keys(flags: dict[str, object], tags: dict[str, str], as_json: bool, **conditions: Any) -> None:
    """List the API keys. Several conditions combine with AND."""
    asked = shapes.ListKeys(tag=[f"{name}={text}" for name, text in tags.items()], **conditions)
    with administration(flags) as desk:
        found: list[shapes.Key] = list(all_pages(desk, operations.LIST_KEYS, asked))
    facts = [msgspec.to_builtins(key) for key in found]
    if as_json:
        print_json(facts)
    elif not found:
        say("No API key fulfils all conditions.")
    else:
        columns = ("key_id", "state", "environment", "name", "subject", "scope", "created_at", "expires_at")
        for fact, key in zip(facts, found, strict=True):
            fact["scope"] = f"(admin key: {role_in_words(key.admin, key.subject_prefix)})" if key.admin else key.scope
        rows = (
            [*(fact[column] for column in columns), use_in_words(key.last_used or {})]
            for fact, key in zip(facts, found, strict=True)
        )
        print_table([*columns, "last_used"], rows)


@keys.command()
@key_argument
@database_options
@json_option
def show(flags: dict[str, object], key_id: str, as_json: bool) -> None:
    """Show one API key, and how many live grants it has. `-` reads a whole key from standard input."""
    named = read_named(key_id)
    with administration(flags) as desk:
        key = find_named(desk, named)
    facts = msgspec.to_builtins(key)
    if as_json:
        print_json(facts)
    else:
        uses = key.last_used or {}
        each = {f"last {kind}": use_in_words({kind: use}) for kind, use in uses.items()}
        print_facts({**{n: f for n, f in facts.items() if n != "last_used"}, **(each or {"last used": None})}.items())


@keys.command()
@keys_argument
@click.option(
    "--reason",
    type=click.Choice(["revoked", "leaked"]),
    default="revoked",
    show_default=True,
    help="kept with the end and told in events; after leaked, an alert says if somebody still tries the key",
)
@database_options
@json_option
def revoke(flags: dict[str, object], key_ids: tuple[str, ...], reason: Any, as_json: bool) -> None:
    """Revoke API keys, their grants and their access tokens. `-` reads a whole key from standard input."""

    def ask(key_id: str) -> shapes.RevokeKey:
        return shapes.RevokeKey(key_id=key_id, reason=reason)

    done = change_named(flags, key_ids, operations.REVOKE_KEY, ask, alive=True)
    tell_each(done, "revoked", as_json=as_json, several=len(key_ids) > 1)


for _command in (update, disable, enable, rotate, import_file, leaked, pattern):
    keys.add_command(_command)
