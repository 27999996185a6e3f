"""How the command talks: data on stdout, talk on stderr, JSON where it was asked for, colours only on a terminal."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click

from hourpass.cli import folding

json_option = click.option("--json", "as_json", is_flag=True, help="print JSON")


def plain(text: str) -> str:
    """The text on one line, with what is not printable written as an escape.

    A stored name can then neither begin a line of its own nor move the cursor, colour the terminal or turn its
    direction.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def json_line(data: object, indent: int | None = None) -> str:
    """JSON in which nothing but line breaks between members is not printable."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return "".join(letter if letter == "\n" or letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def print_json(data: object) -> None:
    """One JSON document on stdout."""
    print(json_line(data, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns on stdout, with a header line; on a terminal that is too narrow, folded."""
    texts = [list(columns), *([("" if cell is None else plain(str(cell))) for cell in row] for row in rows)]
    for number, lines in enumerate(folding.table(texts, screen_width())):
        for text in lines:
            print(bold(text) if number == 0 else text)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """One fact a line, aligned; on a terminal, what is wider goes on below."""
    shown = [(name, plain(_fact(value)) or "-") for name, value in facts]
    label = max(len(name) for name, _ in shown)
    for name, value in shown:
        first, *more = folding.fact(value, label, screen_width())
        print(f"{bold(name.ljust(label))}{folding.GAP}{first}".rstrip())
        for text in more:
            print(text)


def _fact(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def print_line(head: str, text: str) -> None:
    """A head and a text after it, at once; on a terminal that is too narrow, the text goes on below."""
    print("\n".join(folding.line(head, text, screen_width())), flush=True)


def screen_width() -> int | None:
    """The columns of the terminal that stdout is; None where it is none, and nothing is to be folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Talk, as opposed to data."""
    print("\n".join(map(plain, text.split("\n"))), file=sys.stderr, flush=True)


def bold(text: str) -> str:
    """Bold where a person looks at it and did not forbid it."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def moment(at: int | None) -> str | None:
    """An instant (epoch milliseconds) in ISO 8601, to the second."""
    return None if at is None else datetime.fromtimestamp(at // 1000, UTC).isoformat().replace("+00:00", "Z")


def span(milliseconds: int) -> str:
    """A duration in the two largest units that matter: `29 d 23 h`."""
    seconds = abs(milliseconds) // 1000
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
