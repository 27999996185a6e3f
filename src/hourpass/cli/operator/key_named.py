"""The argument that names an API key: its id, or `-` for a whole key on standard input.

The key is read before anything is opened: a transaction must not wait for a person who types or pipes it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from hourpass.admin import operations, shapes
from hourpass.admin.operations import Operation
from hourpass.cli.no_secrets import from_standard_input, id_of_ours, ids_of_ours
from hourpass.cli.operator.administration import Desk, administration
from hourpass.cli.terminal import print_each, say

A = TypeVar("A", bound=shapes.AdminAnswer)
Q = TypeVar("Q", bound=shapes.Asked)


class NamedKey(NamedTuple):
    """What was given: a key's id, or the key itself."""

    key_id: str
    unverified_key: str | None

    def __repr__(self) -> str:
        """Without the key."""
        return "NamedKey(…)"


keys_argument = click.argument("key_ids", metavar="ID…|-", nargs=-1, required=True, callback=ids_of_ours)

key_argument = click.argument("key_id", metavar="ID|-", callback=id_of_ours)


def read_named(key_id: str) -> NamedKey:
    """What the argument names. Waits for standard input if it is `-`."""
    return NamedKey(key_id, from_standard_input() if key_id == "-" else None)


def find_named(desk: Desk, named: NamedKey, *, alive: bool = False) -> shapes.Key:
    """The key that the argument names, with `alive` not by a secret that has ended. Raises NotFound."""
    if named.unverified_key is not None:
        return desk.call(operations.FIND_KEY, shapes.FindKey(api_key=named.unverified_key, alive=alive))
    return desk.call(operations.GET_KEY, shapes.KeyNamed(key_id=named.key_id))


def change_named(
    flags: dict[str, object],
    key_ids: Sequence[str],
    operation: Operation[Q, A],
    ask: Callable[[str], Q],
    *,
    alive: bool = False,
) -> Iterator[A]:
    """Carry out an operation on each key that the arguments name, and yield what became of each.

    Raises:
        UsageError: if `-` is not the only argument. HourpassError: what the operation raises.
    """
    if "-" in key_ids and len(key_ids) > 1:
        raise click.UsageError("- reads one key from standard input, so it stands alone")
    named = read_named(key_ids[0]) if "-" in key_ids else None
    with administration(flags, changes=True) as desk:
        found = key_ids if named is None else [find_named(desk, named, alive=alive).key_id]
        yield from tell_where(desk, desk.call_each(operation, [ask(key_id) for key_id in found]))


def tell_where(desk: Desk, done: Iterable[A]) -> Iterator[A]:
    """What was done, after the name of the database or server, which is printed once something is durable."""
    for number, each in enumerate(done):
        if not number:
            say(desk.name)
        yield each


def tell_each(
    done: Iterable[shapes.Changed], state: str, *, as_json: bool, several: bool, ends_tokens: bool = False
) -> None:
    """Say of each key, as it comes, that it is in a state now, or was before, and whether its tokens ended with it."""
    if as_json:
        more = {"tokens_ended": True} if ends_tokens else {}
        facts: Iterator[dict[str, Any]] = ({"key_id": each.key_id, state: each.changed, **more} for each in done)
        print_each(facts, as_json=True, several=several)
        return
    words = " Its access tokens that were out have ended." if ends_tokens else ""
    for each in done:
        say((f"{each.key_id} is {state}." if each.changed else f"{each.key_id} was {state} before.") + words)
