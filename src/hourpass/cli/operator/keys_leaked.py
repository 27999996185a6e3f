"""`hourpass keys leaked`: which of a scanner's findings are keys of this server, and their end."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from hourpass.admin.instants import moment
from hourpass.cli.operator.database import actor, database, database_options, look_at_database
from hourpass.cli.terminal import json_option, print_json, print_table, say
from hourpass.core.errors import HourpassError
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.keys.leaks import MAY_COME_BACK, Leak, find_leaks, key_texts

BLOCK = 1 << 20


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--revoke", "end", is_flag=True, help="end those that are still good, disabled or expired")
@database_options
@json_option
def leaked(flags: dict[str, object], file: str, end: bool, as_json: bool) -> None:
    """Read a scanner's findings, any text, and say which are keys of this server, whose, and when last used.

    Keys are found by their shape and proven. No key is ever printed. Imported keys have no shape and are not found.
    Exits with 1 if a key was found that is still good.
    """
    with ExitStack() as opened:
        texts = key_texts(_blocks(_open(file, opened), file))
    with look_at_database(flags) as db:
        found = find_leaks(db.store, db.secrets, texts, db.now)
    revoked = set()
    if end and (ending := {leak.key.key_id for leak in found.ours if leak.trouble in MAY_COME_BACK}):
        with database(flags) as db:
            by = db.now, db.policy, actor()
            revoked = {key_id for key_id in ending if revoke_key(db.store, key_id, *by, why="leaked")}
    facts = [_facts(leak, revoked) for leak in found.ours]
    if as_json:
        print_json({"keys": facts, "strangers": found.strangers})
    else:
        columns = ("key_id", "name", "subject", "environment", "state", "last_used", "last_from", "revoked")
        print_table(columns, [[fact[column] for column in columns] for fact in facts])
        look = "text that only looks" if found.strangers == 1 else "texts that only look"
        say(f"{len(facts)} key{'s' * (len(facts) != 1)} of this server, and {found.strangers} {look} like one.")
        say("Imported keys have no shape of ours, so this cannot find them.")
    sys.exit(1 if any(leak.trouble is None for leak in found.ours) else 0)


def _open(file: str, opened: ExitStack) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return opened.enter_context(Path(file).open("rb"))
    except OSError as error:
        # Without its name, which may be an imported key that somebody took for the argument.
        raise HourpassError(f"cannot read the file: {error.strerror}") from None


def _blocks(source: BinaryIO, file: str) -> Iterator[str]:
    try:
        while block := source.read(BLOCK):
            yield block.decode("latin-1")  # a key is ASCII, whatever is around it
    except OSError as error:
        # Without its name, which may be an imported key that somebody took for the argument.
        raise HourpassError(f"cannot read the file: {error.strerror}") from None


def _facts(leak: Leak, revoked: set[str]) -> dict[str, object]:
    kind, use = leak.last_use or (None, None)
    return {
        "key_id": leak.key.key_id,
        "name": leak.key.name,
        "subject": leak.key.subject,
        "environment": leak.key.environment,
        "state": "revoked" if leak.key.key_id in revoked else leak.trouble or "active",
        "created_at": moment(leak.key.created_at),
        "last_used": None if use is None else moment(use.at),
        "last_how": kind,
        "last_from": None if use is None else use.address,
        "revoked": leak.key.key_id in revoked,
    }
