"""`hourpass keys update`, `disable` and `enable`."""

from collections.abc import Callable
from typing import Any

import click

from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.database import actor, database, database_options, early_in_a_second
from hourpass.cli.operator.key_facts import key_facts
from hourpass.cli.operator.key_options import member_options
from hourpass.cli.terminal import json_option, print_facts, print_json, say
from hourpass.server.keys.api_keys import get_key
from hourpass.server.keys.editing import disable_key, enable_key, update_key

_now_option = click.option("--now", "ends_tokens", is_flag=True, help="end the access tokens that are out as well")
_id_argument = click.argument("key_id", metavar="ID", callback=id_of_ours)


@click.command()
@_id_argument
@click.option("--name", help="the purpose of the key, in words")
@member_options
@click.option("--remove-claim", "removed_claims", multiple=True, metavar="NAME", help="may be repeated")
@click.option("--remove-tag", "removed_tags", multiple=True, metavar="NAME", help="may be repeated")
@_now_option
@database_options
@json_option
def update(
    flags: dict[str, object],
    key_id: str,
    name: str | None,
    members: Callable[[int], dict[str, Any]],
    removed_claims: tuple[str, ...],
    removed_tags: tuple[str, ...],
    ends_tokens: bool,
    as_json: bool,
) -> None:
    """Change an API key. Its clients' next refresh sees the change.

    An option that you leave out changes nothing. Claims and tags are added to those that the key has. `never`,
    `default`, `any` and "" take back what was set.
    """
    with database(flags) as db:
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
        now = early_in_a_second(db) if ends_tokens else db.now
        policy = db.policy if ends_tokens else None
        facts = key_facts(update_key(db.store, key_id, given, now, actor=actor(), ends_tokens=policy), now)
    print_json(facts) if as_json else print_facts(facts.items())


@click.command()
@_id_argument
@_now_option
@database_options
@json_option
def disable(flags: dict[str, object], key_id: str, ends_tokens: bool, as_json: bool) -> None:
    """Refuse an API key until you enable it again. Meanwhile its grants cannot refresh."""
    with database(flags) as db:
        now = early_in_a_second(db) if ends_tokens else db.now
        done = disable_key(db.store, key_id, now, actor=actor(), ends_tokens=db.policy if ends_tokens else None)
    _tell(key_id, "disabled", done, as_json=as_json)


@click.command()
@_id_argument
@database_options
@json_option
def enable(flags: dict[str, object], key_id: str, as_json: bool) -> None:
    """Let a disabled API key work again."""
    with database(flags) as db:
        done = enable_key(db.store, key_id, db.now, actor=actor())
    _tell(key_id, "enabled", done, as_json=as_json)


def _tell(key_id: str, state: str, done: bool, *, as_json: bool) -> None:
    if as_json:
        print_json({"key_id": key_id, state: done})
    else:
        say(f"{key_id} is {state}." if done else f"{key_id} was {state} before.")
