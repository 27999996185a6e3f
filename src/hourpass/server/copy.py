"""Copies everything that an installation keeps from one store into an empty one, and proves that it arrived.

The source is read at one moment and never written to. The target gets everything in one transaction, and the proof
comes before its commit. So if anything goes wrong, the target is as empty as before. Copying, backing up and restoring
all work this way. This module opens no store and knows no file.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from hourpass.core.errors import ConfigurationError, HourpassError
from hourpass.core.policy import SECOND
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import NEEDED, PEPPER, require_opens
from hourpass.server.keys.server_secrets import FIRST_PEPPER
from hourpass.server.store import Store
from hourpass.server.store.connection import Row
from hourpass.server.store.copying import Moved, Numbers
from hourpass.server.store.tables import TABLES, Table

PAGE = 2_000
"""Rows in memory at a time. That is half a megabyte of grants, and enough that the cost of a statement is small."""

Progress = Callable[[str, int, int], None]
"""Called with the name of a table, how many of its rows are copied, and how many it has."""

_encode = msgspec.msgpack.Encoder().encode


class CopyDiffers(HourpassError):
    """The rows that arrived are not the rows that were sent."""


class Copied(NamedTuple):
    """A table that was sent and has arrived. The digest covers its rows in the order of their keys."""

    table: str
    rows: int
    sha256: str


def copy(
    source: Store,
    target: Store,
    now: int,
    *,
    master: MasterKey | None = None,
    progress: Progress = lambda table, rows, total: None,
    finish: Callable[[Store], None] = lambda target: None,
) -> list[Copied]:
    """Copy everything as it is at one moment after `now` (epoch milliseconds).

    The master key, if you pass it, must open every sealed secret. `finish` changes the proven copy in the same
    transaction, so nobody ever sees the copy without these changes.

    Raises:
        ConfigurationError: if either schema is behind or ahead of this program, the source is empty, the target is not
            empty, or the master key is another one.
        CopyDiffers: if a row was lost or altered on its way.
        StorageUnavailable: if either database fails. That includes a server that runs on the target.
    """
    _require_schemas(source, target, now)
    target.begin(wait=True)
    try:
        source.begin_reading()
        if not any(source.count_rows(table) for table in TABLES):
            raise ConfigurationError("the source is empty: there is nothing to copy")
        if held := {table.name: rows for table in TABLES if (rows := target.count_rows(table))}:
            found = ", ".join(f"{name} {rows}" for name, rows in held.items())
            raise ConfigurationError(f"the target is not empty (rows: {found}): only an empty one takes a copy")
        if master is not None:
            require_opens(source, master)
        if any(stored.kid != FIRST_PEPPER for stored in source.sealed_secrets(PEPPER)):
            target.need_program(NEEDED)
        copied = [_send(source, target, table, progress) for table in TABLES]
        target.go_on_from(_begun_again(source.numbers(), now))
        # The proof takes long. The source must not keep an old moment for us meanwhile.
        source.commit()
        for table, sent in zip(TABLES, copied, strict=True):
            _prove(target, table, sent)
        finish(target)
        target.commit()
    except BaseException:
        source.rollback()
        target.rollback()
        raise
    return copied


def moved_to(store: Store) -> Moved | None:
    """Where a database's installation was moved to. None if it is still there, or if the schema is too old to tell.

    Call it outside of any transaction.
    """
    if not store.is_migrated() or "0003_moved" in store.pending_migrations():
        return None
    store.begin_reading()
    try:
        return store.moved()
    finally:
        store.commit()


def require_not_moved(store: Store) -> None:
    """Refuse to work on a database whose installation was moved. A key that is revoked there would still work.

    Raises:
        ConfigurationError: if the installation was moved.
    """
    if (moved := moved_to(store)) is not None:
        raise ConfigurationError(
            f"{store.name} was moved to {moved.target}: name that one with --database, "
            "or go on here with hourpass copy --undo"
        )


def _require_schemas(source: Store, target: Store, now: int) -> None:
    if not source.is_migrated():
        raise ConfigurationError("the source is not a hourpass database")
    if not target.is_migrated():
        target.migrate(now)
    for name, store in (("source", source), ("target", target)):
        if behind := store.pending_migrations():
            raise ConfigurationError(f"the {name} is behind this program ({', '.join(behind)}): migrate it first")
        if ahead := store.newer_migrations():
            # This program can work with them. But it does not know what they added, and a copy would lack that.
            raise ConfigurationError(f"the {name} is newer than this program: it has migration {ahead[-1]}")


def _begun_again(numbers: Numbers, now: int) -> Numbers:
    """The counters of the copy. They go on, so that no number is given twice.

    The numbers may have gaps, so the feed gets a new epoch, which tells its readers. Epochs are whole seconds. The new
    one is later than that of any server that has started until now.
    """
    return numbers._replace(numbered_since=(max(now, numbers.numbered_since) // SECOND + 1) * SECOND)


def _pages(store: Store, table: Table) -> Iterator[list[Row]]:
    after: Row = table.start
    while page := store.rows_page(table, after, PAGE):
        yield page
        after = table.key_of(page[-1])


def _summary(table: Table, pages: Iterable[list[Row]]) -> Copied:
    rows, digest = 0, hashlib.sha256()
    for page in pages:
        rows += len(page)
        digest.update(b"".join(map(_encode, page)))
    return Copied(table.name, rows, digest.hexdigest())


def _send(source: Store, target: Store, table: Table, progress: Progress) -> Copied:
    total = source.count_rows(table)

    def passing() -> Iterator[list[Row]]:
        done = 0
        for page in _pages(source, table):
            target.add_rows(table, page)
            done += len(page)
            progress(table.name, done, total)
            yield page

    sent = _summary(table, passing())
    if sent.rows != total:
        raise CopyDiffers(f"{table.name}: the source has {total} rows, but gave {sent.rows}; nothing was copied")
    return sent


def _prove(target: Store, table: Table, sent: Copied) -> None:
    arrived, counted = _summary(table, _pages(target, table)), target.count_rows(table)
    if (arrived.rows, counted) != (sent.rows, sent.rows):
        raise CopyDiffers(f"{table.name}: {sent.rows} rows were sent, {counted} have arrived; nothing was copied")
    if arrived != sent:
        raise CopyDiffers(f"{table.name}: the rows that arrived differ from those that were sent; nothing was copied")
