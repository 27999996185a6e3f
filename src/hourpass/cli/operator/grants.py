"""`hourpass grants`: list, show and revoke grants."""

import click
import msgspec

from hourpass.admin import operations, shapes
from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.administration import administration, all_pages
from hourpass.cli.operator.database import database_options
from hourpass.cli.terminal import json_option, print_facts, print_json, print_table, say
from hourpass.core.grant import GrantState

_OF_ALL = ("grant_id", "key_id", "generation", "state", "created_at", "idle_expires_at")
_OF_A_KEY = ("grant_id", "generation", "state", "created_at", "opened_from", "refreshed_at", "last_from")


@click.group()
def grants() -> None:
    """List, show and revoke grants. Each exchange of an API key opens one."""


@grants.command("list")
@click.option("--key", "key_id", metavar="ID", callback=id_of_ours, help="only this API key's")
@click.option("--all", "everything", is_flag=True, help="also grants that have ended, until they are pruned")
@database_options
@json_option
def list_grants(flags: dict[str, object], key_id: str | None, everything: bool, as_json: bool) -> None:
    """List the live grants."""
    state: GrantState | None = None if everything else "live"
    with administration(flags) as desk:
        if key_id:
            of_key = shapes.ListGrantsOfKey(key_id=key_id, state=state)
            found = [*all_pages(desk, operations.LIST_GRANTS_OF_KEY, of_key)]
        else:
            found = [*all_pages(desk, operations.LIST_GRANTS, shapes.ListGrants(state=state))]
    facts = msgspec.to_builtins(found)
    if as_json:
        print_json(facts)
    elif not found:
        say("No grant fulfils all conditions.")
    else:
        columns = _OF_A_KEY if key_id else _OF_ALL
        print_table(columns, [[fact[column] for column in columns] for fact in facts])


@grants.command()
@click.argument("grant_id", metavar="ID", callback=id_of_ours)
@database_options
@json_option
def show(flags: dict[str, object], grant_id: str, as_json: bool) -> None:
    """Show one grant: whose it is, and from which address and when it was opened and last refreshed."""
    with administration(flags) as desk:
        facts = msgspec.to_builtins(desk.call(operations.GET_GRANT, shapes.GrantNamed(grant_id=grant_id)))
    print_json(facts) if as_json else print_facts(facts.items())


@grants.command()
@click.argument("grant_id", metavar="ID", callback=id_of_ours)
@database_options
@json_option
def revoke(flags: dict[str, object], grant_id: str, as_json: bool) -> None:
    """Revoke a grant and its access tokens."""
    with administration(flags, changes=True) as desk:
        done = desk.call(operations.REVOKE_GRANT, shapes.GrantNamed(grant_id=grant_id))
    say(desk.name)
    if as_json:
        print_json({"grant_id": done.grant_id, "revoked": done.changed})
    else:
        say(f"{done.grant_id} is revoked." if done.changed else f"{done.grant_id} was revoked before.")
