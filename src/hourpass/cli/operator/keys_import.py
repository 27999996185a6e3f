"""`hourpass keys import`: keys that another system made, from a file of any length."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.database import actor, database_options, read_settings
from hourpass.cli.operator.import_file import Columns, Format, format_of, rows_of
from hourpass.cli.terminal import json_line, json_option, print_json, say
from hourpass.core.errors import ConfigurationError, HourpassError, StorageUnavailable
from hourpass.core.key_hash import KeyHash
from hourpass.ownership import read_named_file
from hourpass.server.keys.import_rows import ImportRow, InPlain, RowRefused, SlowlyHashed, read_row
from hourpass.server.keys.importing import TOGETHER, Imported, import_keys
from hourpass.server.keys.key_hashes import hashes_in_use
from hourpass.server.keys.master_key import BACK_IT_UP
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.keys.slow_hashes import require_libraries
from hourpass.server.run.open import current_time, open_secrets, open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store, persist, reading

SAID = 20
"""Failed rows that are named on the screen; the report has all of them."""

Batch = list[tuple[int, ImportRow | str]]


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
    settings = read_settings(flags)
    with ExitStack() as opened:
        rows = rows_of(_open(file, opened), file_format or format_of(file))
        first = list(islice(rows, 1))  # a wrong header ends it before the database is opened
        store = opened.enter_context(closing(open_store(settings, create=not dry_run, small=True)))
        master, secrets = open_secrets(store, settings, os.environ, current_time(store, settings), look=dry_run)
        hashed = None if hmac_secret_file is None else _hmac_hash(store, secrets, hmac_secret_file)
        report_to = _Report(None if report is None else opened.enter_context(_make(report)))
        importer = _Importer(store, settings, secrets, report_to, dry_run=dry_run)

        def read(columns: Columns) -> ImportRow | str:
            return _row(columns, hashed, accept_weak=accept_weak)

        for batch in _batches(iter(first), rows, read):
            importer.take(batch)
    if master.made:
        say(f"{master.made} was made: {BACK_IT_UP}.")
    report_to.end(as_json=as_json, dry_run=dry_run)
    say(f"Database: {store.name}")
    sys.exit(1 if report_to.counts["failed"] else 0)


def _open(file: str, opened: ExitStack) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return opened.enter_context(Path(file).open("rb"))
    except OSError as error:
        # Its name is not repeated: it may be a key that was pasted here.
        raise HourpassError(f"cannot read the file: {error.strerror}") from None


def _make(report: str) -> TextIO:
    try:
        return Path(report).open("w", encoding="utf-8")
    except OSError as error:
        raise HourpassError(f"cannot write the report: {error.strerror}") from None


def _hmac_hash(store: Store, secrets: Secrets, file: str) -> KeyHash:
    try:
        text = read_named_file(Path(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the HMAC secret: {error}") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigurationError("the file of the HMAC secret is empty")
    with reading(store):
        return secrets.hmac_hash(hashes_in_use(store, secrets.master), secret.encode())


def _row(columns: Columns, hashed: KeyHash | None, *, accept_weak: bool) -> ImportRow | str:
    if isinstance(columns, str):
        return columns
    try:
        row = read_row(columns, hmac_hash=hashed, accept_weak=accept_weak)
    except RowRefused as refused:
        return str(refused)
    if isinstance(row.secret, SlowlyHashed) and row.secret.algorithm != "django":
        require_libraries()
    return row


def _batches(
    first: Iterator[tuple[int, Columns]],
    rows: Iterator[tuple[int, Columns]],
    read: Callable[[Columns], ImportRow | str],
) -> Iterator[Batch]:
    batch: Batch = []
    for source in (first, rows):
        for line, columns in source:
            batch.append((line, read(columns)))
            if len(batch) == TOGETHER:
                yield batch
                batch = []
    if batch:
        yield batch


class _Importer:
    """Carries out batches, each in a transaction of its own."""

    def __init__(self, store: Store, settings: Settings, secrets: Secrets, report: "_Report", *, dry_run: bool) -> None:
        self._store = store
        self._settings = settings
        self._secrets = secrets
        self._report = report
        self._dry_run = dry_run
        self._actor = actor()

    def take(self, batch: Batch) -> None:
        """Import a batch, and report it after its commit."""
        rows = [row for _, row in batch if isinstance(row, ImportRow)]
        try:
            results = iter(persist(lambda: self._attempt(rows), self._store.rollback))
        except StorageUnavailable as error:
            done = sum(self._report.counts.values())
            raise StorageUnavailable(f"{error.detail}; {done} rows are done: run it again to go on") from error
        for line, row in batch:
            if isinstance(row, ImportRow):
                self._report.add(line, next(results), row)
            else:
                self._report.add(line, Imported("failed", reason=row), None)
        self._store.maintain()

    def _attempt(self, rows: list[ImportRow]) -> list[Imported]:
        now = current_time(self._store, self._settings)
        if self._dry_run:
            self._store.begin_reading()
        else:
            self._store.begin(wait=True)
        results = import_keys(
            self._store, self._secrets, rows, now, random=os.urandom, actor=self._actor, dry_run=self._dry_run
        )
        self._store.commit()
        return results


class _Report:
    """What became of the rows: counted, and each line in a file if there is one."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter(created=0, updated=0, unchanged=0, failed=0)
        self._ambiguous = 0

    def add(self, line: int, result: Imported, row: ImportRow | None) -> None:
        """Note what became of a line."""
        self.counts[result.result] += 1
        if row is not None and isinstance(row.secret, InPlain) and {":", ","} & set(row.secret.text):
            self._ambiguous += 1
        if result.reason is not None and self.counts["failed"] <= SAID:
            say(f"line {line}: {result.reason}")
        if self._file is not None:
            external_id = None if row is None else row.fields.get("external_id")
            facts = {"line": line, **result._asdict(), "external_id": external_id}
            self._file.write(json_line({name: value for name, value in facts.items() if value is not None}) + "\n")

    def end(self, *, as_json: bool, dry_run: bool) -> None:
        """Print the counts."""
        if as_json:
            print_json(dict(self.counts))
        if (failed := self.counts["failed"]) > SAID:
            say(
                f"and {failed - SAID} more lines failed" + ("." if self._file else ": --report FILE names all of them.")
            )
        if self._ambiguous:
            said = "have a colon, which HTTP Basic cannot carry, or a comma, which other headers cannot"
            say(f"{self._ambiguous} keys {said}.")
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        seconds = time.monotonic() - self._began
        say(f"{'Nothing was changed. It would be: ' if dry_run else ''}{counts} ({seconds:.1f} s).")
