"""`hourpass keys update`, `disable` and `enable`."""

from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec

from hourpass.admin import operations, shapes
from hourpass.cli.no_secrets import ids_of_ours
from hourpass.cli.operator.administration import Desk, administration
from hourpass.cli.operator.database import database_options
from hourpass.cli.operator.key_named import change_named, tell_each, tell_where
from hourpass.cli.operator.key_options import member_options, tell_of_prefix
from hourpass.cli.terminal import json_option, print_each

_now_option = click.option("--now", "ends_tokens", is_flag=True, help="end the access tokens that are out as well")
_ids_argument = click.argument("key_ids", metavar="ID…", nargs=-1, required=True, callback=ids_of_ours)

READ_TOGETHER = 100
"""Keys that are read before they are changed: as many as are changed in one transaction."""


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

    def asked(key: shapes.Key, given: dict[str, Any]) -> shapes.UpdateKey:
        given = dict(given)
        for member, removed in (("claims", removed_claims), ("tags", removed_tags)):
            if member in given or removed:
                merged = {**getattr(key, member), **given.get(member, {})}
                given[member] = {each: value for each, value in merged.items() if each not in removed}
        return shapes.UpdateKey(key_id=key.key_id, now=ends_tokens, if_match=key.etag(), **given)

    def change(desk: Desk) -> Iterator[shapes.Key]:
        given = members(desk.now) | ({} if name is None else {"name": name})
        if not (given or removed_claims or removed_tags or ends_tokens):
            raise click.UsageError("say what to change: see hourpass keys update --help")
        tell_of_prefix(given.get("subject_prefix"))
        for start in range(0, len(key_ids), READ_TOGETHER):
            page = [shapes.KeyNamed(key_id=key_id) for key_id in key_ids[start : start + READ_TOGETHER]]
            changes = [asked(key, given) for key in desk.call_each(operations.GET_KEY, page)]
            yield from desk.call_each(operations.UPDATE_KEY, changes)

    with administration(flags, changes=True) as desk:
        print_each(map(_facts, tell_where(desk, change(desk))), as_json=as_json, several=len(key_ids) > 1)


def _facts(key: shapes.Key) -> dict[str, object]:
    facts: dict[str, object] = msgspec.to_builtins(key)
    return facts


@click.command()
@_ids_argument
@_now_option
@database_options
@json_option
def disable(flags: dict[str, object], key_ids: tuple[str, ...], ends_tokens: bool, as_json: bool) -> None:
    """Refuse API keys until you enable them again. Meanwhile their grants cannot refresh."""
    done = change_named(
        flags, key_ids, operations.DISABLE_KEY, lambda key_id: shapes.DisableKey(key_id=key_id, now=ends_tokens)
    )
    tell_each(done, "disabled", as_json=as_json, several=len(key_ids) > 1, ends_tokens=ends_tokens)


@click.command()
@_ids_argument
@database_options
@json_option
def enable(flags: dict[str, object], key_ids: tuple[str, ...], as_json: bool) -> None:
    """Let disabled API keys work again."""
    done = change_named(flags, key_ids, operations.ENABLE_KEY, lambda key_id: shapes.KeyNamed(key_id=key_id))
    tell_each(done, "enabled", as_json=as_json, several=len(key_ids) > 1)
