"""`hourpass keys leaked`: which of a scanner's findings are keys of this server, and their end."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

import click
import msgspec

from hourpass.admin import operations, shapes
from hourpass.admin.shapes import MOST_TEXTS
from hourpass.cli.no_secrets import open_key_source
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import database_options
from hourpass.cli.terminal import json_option, print_json, print_table, say
from hourpass.core.errors import HourpassError
from hourpass.server.keys.leaks import key_texts

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
        texts = key_texts(_blocks(open_key_source(file, opened), file))
    operation = operations.REVOKE_LEAKED_KEYS if end else operations.FIND_LEAKED_KEYS
    with administration(flags, changes=end) as desk:
        batches = [texts[start : start + MOST_TEXTS] for start in range(0, len(texts), MOST_TEXTS)]
        found = [*desk.call_each(operation, [shapes.LeakedTexts(texts=batch) for batch in batches])]
    if end:
        say(desk.name)
    keys = [key for each in found for key in each.keys]
    strangers = sum(each.strangers for each in found)
    facts = msgspec.to_builtins(keys)
    if as_json:
        print_json({"keys": facts, "strangers": strangers})
    else:
        columns = ("key_id", "name", "subject", "environment", "state", "last_used", "last_from", "revoked")
        print_table(columns, [[fact[column] for column in columns] for fact in facts])
        look = "text that only looks" if strangers == 1 else "texts that only look"
        say(f"{len(facts)} key{'s' * (len(facts) != 1)} of this server, and {strangers} {look} like one.")
        say("Imported keys have no shape of ours, so this cannot find them.")
    sys.exit(1 if any(key.good for key in keys) else 0)


def _blocks(source: BinaryIO, file: str) -> Iterator[str]:
    try:
        while block := source.read(BLOCK):
            yield block.decode("latin-1")  # a key is ASCII, and latin-1 reads all bytes around it
    except OSError as error:
        # Without its name, which may be an imported key that somebody took for the argument.
        raise HourpassError(f"cannot read the file: {error.strerror}") from None
