"""`hourpass keys update`, `disable` and `enable`."""

from collections.abc import Callable
from typing import Any

import click

from hourpass.cli.no_secrets import ids_of_ours
from hourpass.cli.operator.database import Database, actor, change_each, database_options
from hourpass.cli.operator.key_facts import key_facts
from hourpass.cli.operator.key_named import tell_each
from hourpass.cli.operator.key_options import member_options
from hourpass.cli.terminal import json_option, print_each
from hourpass.server.keys.api_keys import get_key
from hourpass.server.keys.editing import disable_key, enable_key, update_key

_now_option = click.option("--now", "ends_tokens", is_flag=True, help="end the access tokens that are out as well")
_ids_argument = click.argument("key_ids", metavar="ID…", nargs=-1, required=True, callback=ids_of_ours)


@click.command()
@_ids_argument
@click.option("--name", help="the purpose of the key, in words")
@member_options
@click.option("--remove-claim", "removed_claims", multiple=True, metavar="NAME", help="may be repeated")
@click.option("--remove-tag", "removed_tags", multiple=True, metavar="NAME", help="may be repeated")
@_now_option
@database_options
@json_option
def update(
    flags: dict[str, object],
    key_ids: tuple[str, ...],
    name: str | None,
    members: Callable[[int], dict[str, Any]],
    removed_claims: tuple[str, ...],
    removed_tags: tuple[str, ...],
    ends_tokens: bool,
    as_json: bool,
) -> None:
    """Change API keys. Their clients' next refresh sees the change.

    An option that you leave out changes nothing. Claims and tags are added to those that the key has. `never`,
    `default`, `any` and "" take back what was set.
    """

    def change(db: Database, key_id: str) -> dict[str, object]:
        key = get_key(db.store, key_id)
        given = members(db.now)
        if name is not None:
            given["name"] = name
        for member, removed in (("claims", removed_claims), ("tags", removed_tags)):
            if member in given or removed:
                merged = {**dict(getattr(key, member)), **given.get(member, {})}
                given[member] = {each: value for each, value in merged.items() if each not in removed}
        if not given and not ends_tokens:
            raise click.UsageError("say what to change: see hourpass keys update --help")
        policy = db.policy if ends_tokens else None
        return key_facts(update_key(db.store, key_id, given, db.now, actor=actor(), ends_tokens=policy), db.now)

    changed = change_each(flags, key_ids, change, at_once=ends_tokens)
    print_each(changed, as_json=as_json, several=len(key_ids) > 1)


@click.command()
@_ids_argument
@_now_option
@database_options
@json_option
def disable(flags: dict[str, object], key_ids: tuple[str, ...], ends_tokens: bool, as_json: bool) -> None:
    """Refuse API keys until you enable them again. Meanwhile their grants cannot refresh."""
    disabled = set()

    def change(db: Database, key_id: str) -> tuple[str, bool]:
        policy = db.policy if ends_tokens else None
        if disable_key(db.store, key_id, db.now, actor=actor(), ends_tokens=policy):
            disabled.add(key_id)
        return key_id, key_id in disabled

    tell_each(
        change_each(flags, key_ids, change, at_once=ends_tokens), "disabled", as_json=as_json, several=len(key_ids) > 1
    )


@click.command()
@_ids_argument
@database_options
@json_option
def enable(flags: dict[str, object], key_ids: tuple[str, ...], as_json: bool) -> None:
    """Let disabled API keys work again."""

    def change(db: Database, key_id: str) -> tuple[str, bool]:
        return key_id, enable_key(db.store, key_id, db.now, actor=actor())

    tell_each(change_each(flags, key_ids, change), "enabled", as_json=as_json, several=len(key_ids) > 1)
