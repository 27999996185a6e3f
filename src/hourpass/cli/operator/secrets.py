"""`hourpass secrets`: the secrets of the server that the master key seals, and how new ones take their place."""

import os

import click

from hourpass.admin.instants import moment
from hourpass.cli.operator.database import Database, actor, database, database_options, look_at_database
from hourpass.cli.terminal import confirm, json_option, print_json, print_table, say
from hourpass.core.api_key import ApiKey, key_state
from hourpass.core.key_rotation import is_alive
from hourpass.server.keys.api_keys import keys_with_uses
from hourpass.server.keys.replacing import SecretKind, ends_grants, retire_secrets, rotate_secret
from hourpass.server.keys.server_secrets import FIRST_PEPPER

KINDS: tuple[SecretKind, ...] = ("refresh", "pepper", "rotation", "trail")

RETIRED_KINDS = KINDS[:-1]
"""The trail cannot be verified without an earlier secret of the audit trail, and that one changes nothing any more."""


@click.group()
def secrets() -> None:
    """Show, rotate and retire the server's own secrets: refresh, pepper, rotation, trail. No command prints one."""


@secrets.command()
@click.option("--keys", "with_keys", is_flag=True, help="also name the API keys under a pepper that is not in use")
@database_options
@json_option
def status(flags: dict[str, object], with_keys: bool, as_json: bool) -> None:
    """Show each secret and its state: published, in use, kept or gone. For a pepper also how many keys need it."""
    with look_at_database(flags) as db:
        needs = _needs(db)
        facts = [fact for kind in KINDS for fact in _facts(db, kind, needs)]
        waiting = sorted({key_id for kid, keys in needs.items() if kid != db.secrets.pepper.kid for key_id in keys})
    if as_json:
        print_json({"secrets": facts, "api_keys": waiting} if with_keys else {"secrets": facts})
        return
    columns = ("kind", "kid", "state", "created_at", "used_from", "api_keys")
    print_table(columns, [[fact[column] for column in columns] for fact in facts])
    if with_keys:
        for key_id in waiting:
            print(key_id)


def _facts(db: Database, kind: SecretKind, needs: dict[str, set[str]]) -> list[dict[str, object]]:
    ring = db.secrets.ring(kind)
    return [
        {
            "kind": kind,
            "kid": secret.kid,
            "state": db.secrets.state(kind, secret, db.now),
            "created_at": moment(secret.created_at),
            "used_from": moment(ring.used_from(secret) or None),
            "api_keys": len(needs.get(secret.kid, ())) if kind == "pepper" else None,
        }
        for secret in ring.secrets
    ]


def _needs(db: Database) -> dict[str, set[str]]:
    """The ids of the API keys that can be proven only by a pepper, by its kid."""
    needs: dict[str, set[str]] = {}
    for key, _ in keys_with_uses(db.store):
        for pepper in _peppers_of(key, db.now):
            needs.setdefault(pepper, set()).add(key.key_id)
    return needs


def _peppers_of(key: ApiKey, now: int) -> set[str]:
    if key_state(key, now) in {"revoked", "expired"}:
        return set()
    return {secret.pepper or FIRST_PEPPER for secret in key.secrets if is_alive(secret, now)}


@secrets.command()
@click.argument("kind", type=click.Choice(KINDS))
@database_options
@json_option
def rotate(flags: dict[str, object], kind: SecretKind, as_json: bool) -> None:
    """Publish a new secret. A minute later every server knows it and uses it. What earlier ones made stays good.

    Only if every server runs this version: an older one refuses what the new secret makes.
    """
    with database(flags) as db:
        new = rotate_secret(db.store, db.secrets, kind, db.now, os.urandom, actor=actor())
        fact = _facts(db, kind, {})[0]
    if as_json:
        print_json(fact)
        return
    say(f"{new.kid} is published, and used from {fact['used_from']}. What earlier ones made stays good.")
    if kind == "pepper":
        say("Each API key goes over to it at its next use. See how many have not: hourpass secrets status.")


@secrets.command()
@click.argument("kind", type=click.Choice(RETIRED_KINDS))
@click.option("--yes", is_flag=True, help="do not ask; needed if nobody can answer")
@database_options
@json_option
def retire(flags: dict[str, object], kind: SecretKind, yes: bool, as_json: bool) -> None:
    """End the secrets from before the one in use, with all that they made: after a leak of database and master key.

    For `refresh` all grants end, with their access tokens, and clients exchange their API keys again.
    """
    with look_at_database(flags) as db:
        price = _price(db, kind)
    if not yes:
        confirm(f"{price} Retire the earlier ones?")
    with database(flags) as db:
        retired = retire_secrets(db.store, db.secrets, kind, db.now, db.policy, os.urandom, actor=actor())
    if as_json:
        print_json({"kind": kind, "retired": retired.kids, "fresh": retired.fresh})
        return
    several = len(retired.kids) > 1
    what = f"{'Pepper' if kind == 'pepper' else f'{kind.capitalize()} secret'}{'s' * several} {', '.join(retired.kids)}"
    say(f"{what} {'are' if several else 'is'} retired. {price}")
    if retired.fresh:
        say(f"{retired.fresh} takes their place at once. Access tokens of the next two seconds are refused, too.")


def _price(db: Database, kind: SecretKind) -> str:
    match kind:
        case "refresh" if ends_grants(db.store, db.secrets, kind, db.now):
            live = db.store.count_live_grants(db.now)
            return f"All grants end ({live:,}), with their access tokens. Their clients exchange their API keys again."
        case "refresh":
            return "All grants from before have ended already, so no later one ends."
        case "pepper":
            keys = {key_id for kid, ids in _needs(db).items() if kid != db.secrets.pepper.kid for key_id in ids}
            return (
                "1 API key that needed it is refused from now on."
                if len(keys) == 1
                else f"{len(keys):,} API keys that needed it are refused from now on."
            )
        case _:
            return "A key's holder who asks for the next secret once more gets another one than before."
