"""Files of keys, row by row: CSV with a header, or a JSON object on each line. No more than one row is in memory.

What it says of a row repeats nothing of it: there are keys in it. Lines are counted as an editor does.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Literal

import click
import msgspec

from hourpass.server.keys.import_rows import COLUMNS, MAX_LINE

Format = Literal["csv", "jsonl"]

Columns = Mapping[str, object] | str
"""The columns of a row, or why it cannot be read."""


def format_of(name: str) -> Format:
    """The format that a file's name says: JSON lines if it ends so, otherwise CSV."""
    return "jsonl" if name.lower().endswith((".jsonl", ".ndjson")) else "csv"


def rows_of(source: BinaryIO, file_format: Format) -> Iterator[tuple[int, Columns]]:
    """Each row with the number of its first line.

    Raises:
        UsageError: if the file cannot be one of keys.
    """
    lines = _Lines(source)
    return _csv_rows(lines) if file_format == "csv" else _json_rows(lines)


class _Lines:
    """The lines of a file, and the number of the last one. `bad` says that one since was not UTF-8."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.number = 0
        self.bad = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._source.readline(MAX_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_LINE:
            raise click.UsageError(f"line {self.number} is longer than 64 KiB: this is not a file of keys")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError:
            self.bad = True
            return line.decode("latin-1")

    def was_bad(self) -> bool:
        """Whether a line since the last call was not UTF-8."""
        bad, self.bad = self.bad, False
        return bad


def _csv_rows(lines: _Lines) -> Iterator[tuple[int, Columns]]:
    reader = csv.reader(lines, strict=True)
    columns: list[str] | None = None
    while True:
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if columns is None:
                raise click.UsageError("the header is not CSV") from None
            yield first, "not CSV: a quote that is not closed, or not doubled"
            continue
        bad = lines.was_bad()
        if not cells:
            continue
        if columns is None:
            columns = _header(cells)
        elif bad:
            yield first, "not UTF-8"
        elif len(cells) != len(columns):
            yield first, f"{_cells(len(cells))}, but the header has {len(columns)}"
        else:
            yield first, dict(zip(columns, cells, strict=True))


def _header(cells: Sequence[str]) -> list[str]:
    """The columns. An unknown one is not repeated: the first line may be a key already."""
    columns = [cell.strip() for cell in cells]
    for at, column in enumerate(columns, 1):
        if column not in COLUMNS:
            hint = "this looks like JSON lines: give --format jsonl" if cells[0].lstrip().startswith("{") else ""
            known = f"known are: {', '.join(COLUMNS)}"
            raise click.UsageError(f"column {at} of the header is unknown; {hint or known}")
        if columns.index(column) + 1 != at:
            raise click.UsageError(f"column {at} of the header is there twice: {column}")
    if "name" not in columns or not {"key", "hash"} & set(columns):
        raise click.UsageError("the header needs the columns name, and key or hash")
    return columns


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def _json_rows(lines: _Lines) -> Iterator[tuple[int, Columns]]:
    for line in lines:
        if lines.was_bad():
            yield lines.number, "not UTF-8"
        elif line.strip():
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield lines.number, row
            else:
                yield lines.number, "not a JSON object"
