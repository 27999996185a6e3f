"""`hourpass keys import`: keys that another system made, from a file of any length."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import click
import msgspec

from hourpass.admin.shapes import ImportedKeys
from hourpass.cli.no_secrets import id_of_ours, open_key_source
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import database_options
from hourpass.cli.operator.import_file import Columns, Format, format_of, rows_of
from hourpass.cli.operator.key_named import tell_where
from hourpass.cli.terminal import json_line, json_option, print_json, say
from hourpass.core.errors import ConfigurationError, HourpassError, Unavailable
from hourpass.ownership import read_named_file
from hourpass.server.admin.key_import import ImportBatch
from hourpass.server.keys.importing import LOOKED_AT

SAID = 20
"""Failed rows that are named on the screen, and so many with a warning. The report has all of them."""


@click.command("import")
@click.argument("file", metavar="FILE|-", callback=id_of_ours)
@click.option(
    "--format", "file_format", type=click.Choice(["csv", "jsonl"]), help="by the file's name, by default; otherwise csv"
)
@click.option("--dry-run", is_flag=True, help="say what would happen, and change nothing")
@click.option("--report", metavar="FILE", help="write what became of each line, as JSON lines")
@click.option("--hmac-secret-file", metavar="FILE", help="the secret of hashes made by hmac-sha256")
@click.option("--accept-weak", is_flag=True, help="take keys that can be guessed, too")
@database_options
@json_option
def import_file(
    flags: dict[str, object],
    file: str,
    file_format: Format | None,
    dry_run: bool,
    report: str | None,
    hmac_secret_file: str | None,
    accept_weak: bool,
    as_json: bool,
) -> None:
    """Import API keys that another system made, in plain or hashed. `-` reads standard input.

    The same file again changes nothing, so run it again after an interruption, or each night. A row that fails is named
    by its line, never by its key, and does not stop the others. Exits with 1 if any failed.
    """
    with ExitStack() as opened:
        rows = rows_of(open_key_source(file, opened), file_format or format_of(file))
        first = list(islice(rows, 1))  # a wrong header ends it before the database is opened
        secret = None if hmac_secret_file is None else _hmac_secret(hmac_secret_file)
        changes = not dry_run
        desk = opened.enter_context(administration(flags, changes=changes, create=changes, small=True))
        report_to = _Report(None if report is None else opened.enter_context(_make(report)))
        batches = (
            ImportBatch(
                rows=batch, hmac_secret=secret, dry_run=dry_run, accept_weak=accept_weak, each=report is not None
            )
            for batch in _batches(chain(first, rows), LOOKED_AT if dry_run else desk.rows_together)
        )
        try:
            for done in tell_where(desk, map(desk.import_rows, batches)):
                report_to.add(done)
        except Unavailable as error:
            rows_done = sum(report_to.counts.values())
            raise type(error)(f"{error.detail}; {rows_done} rows are done: run it again to go on") from error
    report_to.end(as_json=as_json, dry_run=dry_run)
    sys.exit(1 if report_to.counts["failed"] else 0)


def _make(report: str) -> TextIO:
    try:
        return Path(report).open("w", encoding="utf-8")
    except OSError as error:
        raise HourpassError(f"cannot write the report: {error.strerror}") from None


def _hmac_secret(file: str) -> str:
    try:
        text = read_named_file(Path(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the HMAC secret: {error}") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigurationError("the file of the HMAC secret is empty")
    return secret


def _batches(rows: Iterator[tuple[int, Columns]], size: int) -> Iterator[list[tuple[int, Columns]]]:
    while batch := list(islice(rows, size)):
        yield batch


class _Report:
    """What became of the rows: counted, and each line in a file if there is one."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter(created=0, updated=0, unchanged=0, failed=0)
        self._ambiguous = 0

    def add(self, done: ImportedKeys) -> None:
        """Note what became of a batch."""
        failed = [f"line {each.line}: {each.reason}" for each in done.lines if each.reason]
        warned = [f"line {each.line}: {each.warning}" for each in done.lines if each.warning]
        for words in failed[: max(SAID - self.counts["failed"], 0)] + warned[: max(SAID - self._ambiguous, 0)]:
            say(words)
        for word in self.counts:
            self.counts[word] += getattr(done, word)
        self._ambiguous += done.ambiguous
        if self._file is not None:
            for each in done.lines:
                self._file.write(json_line(msgspec.to_builtins(each)) + "\n")

    def end(self, *, as_json: bool, dry_run: bool) -> None:
        """Print the counts."""
        if as_json:
            print_json(dict(self.counts))
        if (failed := self.counts["failed"]) > SAID:
            self._more(failed - SAID, "failed")
        if self._ambiguous > SAID:
            self._more(self._ambiguous - SAID, "with such a key")
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        seconds = time.monotonic() - self._began
        say(f"{'Nothing was changed. It would be: ' if dry_run else ''}{counts} ({seconds:.1f} s).")

    def _more(self, number: int, what: str) -> None:
        lines = "line" if number == 1 else "lines"
        say(f"and {number} more {lines} {what}" + ("." if self._file else ": --report FILE names all of them."))
