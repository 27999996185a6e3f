"""How the command prints: data on stdout, messages on stderr, JSON on request, colours only on a terminal."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from hourpass.cli import folding

json_option = click.option("--json", "as_json", is_flag=True, help="print JSON")


def plain(text: str) -> str:
    """The text on one line, with every character that is not printable written as an escape.

    So a stored name cannot start a line of its own, move the cursor, colour the terminal or change the direction of
    writing.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def json_line(data: object, indent: int | None = None) -> str:
    """JSON in printable characters only, apart from the line breaks between members."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return "".join(letter if letter == "\n" or letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def print_json(data: object) -> None:
    """Print one JSON document on stdout."""
    print(json_line(data, indent=2))


def print_each(facts: Iterable[dict[str, object]], *, as_json: bool, several: bool) -> None:
    """Print the facts on each of several things, as they come: with JSON one line for each."""
    for number, each in enumerate(facts):
        if not as_json:
            if number:
                print()
            print_facts(each.items())
        elif several:
            print(json_line(each), flush=True)
        else:
            print_json(each)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns on stdout, with a header line. They are folded on a terminal that is too narrow."""
    texts = [list(columns), *([plain(_fact(cell)) for cell in row] for row in rows)]
    for number, lines in enumerate(folding.table(texts, screen_width())):
        for text in lines:
            print(bold(text) if number == 0 else text)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print one fact on each line, aligned. On a terminal, a fact that is too wide goes on below."""
    shown = [(name, plain(_fact(value)) or "-") for name, value in facts]
    label = max(len(name) for name, _ in shown)
    for name, value in shown:
        first, *more = folding.fact(value, label, screen_width())
        print(f"{bold(name.ljust(label))}{folding.GAP}{first}".rstrip())
        for text in more:
            print(text)


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def print_line(head: str, text: str) -> None:
    """Print a head and a text after it, and flush. On a terminal that is too narrow, the text goes on below."""
    print("\n".join(folding.line(plain(head), plain(text), screen_width())), flush=True)


def screen_width() -> int | None:
    """The terminal's width in columns. None if stdout is not a terminal: then nothing is folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Print a message for people, on stderr."""
    print("\n".join(map(plain, text.split("\n"))), file=sys.stderr, flush=True)


def confirm(question: str) -> None:
    """Ask before something that cannot be undone. Ends the command if the answer is no.

    Raises:
        UsageError: if nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to confirm: say --yes")
    click.confirm(question, abort=True, err=True)


def bold(text: str) -> str:
    """Bold on a terminal, unless NO_COLOR is set."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text
