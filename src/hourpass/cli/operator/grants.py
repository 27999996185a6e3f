"""`hourpass grants`: list, show and revoke grants."""

import functools

import click

from hourpass.admin.instants import moment
from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.database import Database, actor, database, database_options, look_at_database
from hourpass.cli.terminal import json_option, print_facts, print_json, print_table, say
from hourpass.core.address import unpack_address
from hourpass.core.api_key import ApiKey
from hourpass.core.grant import Grant, state_of
from hourpass.server.keys.api_keys import all_grants, get_grant, revoke_grant

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
    with look_at_database(flags) as db:
        key_of = functools.cache(db.store.key)
        facts = [_facts(db, grant, key_of(grant.key_id)) for grant in all_grants(db.store, key_id)]
    facts = [fact for fact in facts if everything or fact["state"] == "live"]
    if as_json:
        print_json(facts)
    else:
        columns = _OF_A_KEY if key_id else _OF_ALL
        print_table(columns, [[fact[column] for column in columns] for fact in facts])


@grants.command()
@click.argument("grant_id", metavar="ID", callback=id_of_ours)
@database_options
@json_option
def show(flags: dict[str, object], grant_id: str, as_json: bool) -> None:
    """Show one grant: whose it is, and from which address and when it was opened and last refreshed."""
    with look_at_database(flags) as db:
        grant = get_grant(db.store, grant_id)
        key = db.store.key(grant.key_id)
        of_key = {"key_name": key.name if key else None, "subject": key.subject if key else None}
        facts = {**_facts(db, grant, key), **of_key}
    print_json(facts) if as_json else print_facts(facts.items())


@grants.command()
@click.argument("grant_id", metavar="ID", callback=id_of_ours)
@database_options
@json_option
def revoke(flags: dict[str, object], grant_id: str, as_json: bool) -> None:
    """Revoke a grant and its access tokens."""
    with database(flags) as db:
        done = revoke_grant(db.store, get_grant(db.store, grant_id), db.now, db.policy, actor=actor()) is not None
    if as_json:
        print_json({"grant_id": grant_id, "revoked": done})
    else:
        say(f"{grant_id} is revoked." if done else f"{grant_id} was revoked before.")


def _facts(db: Database, grant: Grant, key: ApiKey | None) -> dict[str, object]:
    return {
        "grant_id": grant.grant_id.hex(),
        "key_id": grant.key_id,
        "generation": grant.generation,
        "scope": grant.scope if key is None else grant.owned_scope(key.scope),
        "state": state_of(grant, key, db.now, db.secrets.refresh_since),
        "created_at": moment(grant.created_at),
        "opened_from": _address(grant.opened_from),
        "refreshed_at": moment(grant.superseded[0]) if grant.superseded else None,
        "last_from": _address(grant.last_from),
        "idle_expires_at": moment(grant.idle_expires_at),
        "expires_at": moment(grant.expires_at),
        "revoked_at": moment(grant.revoked_at),
    }


def _address(packed: bytes | None) -> str | None:
    return None if packed is None else unpack_address(packed)
