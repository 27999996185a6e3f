"""`hourpass grants`."""

import click

from hourpass.cli.operator import actor, database, database_options, json_option
from hourpass.cli.terminal import moment, print_json, print_table, say
from hourpass.core.grant import Grant, is_live
from hourpass.server.keys import all_grants, get_grant, revoke_grant


@click.group()
def grants() -> None:
    """List and revoke grants: what each exchange opened."""


@grants.command("list")
@click.option("--key", "key_id", metavar="ID", help="only this API key's")
@click.option("--all", "everything", is_flag=True, help="ended ones too, as long as they are kept")
@database_options
@json_option
def list_grants(flags: dict[str, object], key_id: str | None, everything: bool, as_json: bool) -> None:
    """List the live grants."""
    with database(flags) as db:
        now = db.now
        facts = [_facts(grant, now) for grant in all_grants(db.store, key_id) if everything or is_live(grant, now)]
    if as_json:
        print_json(facts)
    else:
        columns = ("grant_id", "key_id", "generation", "state", "created_at", "idle_expires_at")
        print_table(columns, [[fact[column] for column in columns] for fact in facts])


@grants.command()
@click.argument("grant_id")
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


def _facts(grant: Grant, now: int) -> dict[str, object]:
    state = grant.revoked_why or ("live" if is_live(grant, now) else "expired")
    return {
        "grant_id": grant.grant_id.hex(),
        "key_id": grant.key_id,
        "generation": grant.generation,
        "scope": grant.scope,
        "state": state,
        "created_at": moment(grant.created_at),
        "idle_expires_at": moment(grant.idle_expires_at),
        "expires_at": moment(grant.expires_at),
        "revoked_at": moment(grant.revoked_at),
    }
