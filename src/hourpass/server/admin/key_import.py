"""Imports rows of keys for the command and the admin API: one batch, which is one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.core.admin_access import require_not_reserved
from hourpass.core.errors import InvalidRequest
from hourpass.core.key_hash import KeyHash, limits_of
from hourpass.server.admin.context import Context
from hourpass.server.keys import importing
from hourpass.server.keys.import_rows import ImportRow, InPlain, RowRefused, SlowlyHashed, read_columns, read_row
from hourpass.server.keys.importing import Imported
from hourpass.server.keys.key_hashes import hashes_in_use
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.keys.slow_hashes import require_libraries
from hourpass.server.store import Store

GivenRow = Mapping[str, object] | bytes | ImportRow | str
"""The columns of a row, or a line of JSON, or a row that is read, or why it cannot be read."""


class ImportBatch(shapes.ImportKeys, kw_only=True):
    """Some rows, each with the number of its line, and the provider's HMAC secret if there is one."""

    rows: Sequence[tuple[int, GivenRow]]
    hmac_secret: str | None = None

    def __repr__(self) -> str:
        """Without the keys."""
        return f"ImportBatch({len(self.rows)} rows)"


def import_keys(ctx: Context, asked: ImportBatch) -> shapes.ImportedKeys:
    """Import rows of keys. A row that fails does not stop the others.

    They are one transaction.
    """
    hashed = None if asked.hmac_secret is None else provider_hash(ctx.store, ctx.secrets, asked.hmac_secret)
    read: Any = read_rows(asked, hashed, ctx.settings.public_url()).rows
    rows = [row for _, row in read if isinstance(row, ImportRow)]
    results = iter(
        importing.import_keys(
            ctx.store, ctx.secrets, rows, ctx.now, random=ctx.random, actor=ctx.actor, dry_run=asked.dry_run
        )
    )
    whole = shapes.ImportedKeys()
    for line, row in read:
        result = next(results) if isinstance(row, ImportRow) else Imported("failed", reason=row)
        _note(whole, line, row, result, each=asked.each)
    return whole


def _note(whole: shapes.ImportedKeys, line: int, row: ImportRow | str, result: Imported, *, each: bool) -> None:
    setattr(whole, result.result, getattr(whole, result.result) + 1)
    external_id = warning = None
    if isinstance(row, ImportRow):
        external_id = row.fields.get("external_id")
        warning = limits_of(row.secret.text) if isinstance(row.secret, InPlain) else None
        whole.ambiguous += warning is not None
    if each or warning or result.result == "failed":
        whole.lines.append(
            shapes.ImportedLine(
                line=line,
                result=result.result,
                key_id=result.key_id or UNSET,
                external_id=external_id or UNSET,
                reason=result.reason or UNSET,
                warning=warning or UNSET,
            )
        )


def add_batch(whole: shapes.ImportedKeys, done: shapes.ImportedKeys, most: int) -> None:
    """Add what became of a batch to what became of those before. Of the lines, `most` are listed."""
    for name in ("created", "updated", "unchanged", "failed", "ambiguous"):
        setattr(whole, name, getattr(whole, name) + getattr(done, name))
    whole.lines += done.lines[: most - len(whole.lines)]


def provider_hash(store: Store, secrets: Secrets, hmac_secret: str) -> KeyHash:
    """How a provider hashes keys with a secret. Call it inside a transaction of the store."""
    return secrets.hmac_hash(hashes_in_use(store, secrets.master), hmac_secret.encode())


def read_rows(batch: ImportBatch, hashed: KeyHash | None, issuer: str) -> ImportBatch:
    """The batch with each row read, or the reason why it fails. It needs no transaction.

    Raises:
        ExtraMissing: if a row needs a library that is not installed.
    """
    rows = [(line, _read(row, hashed, issuer, accept_weak=batch.accept_weak)) for line, row in batch.rows]
    return msgspec.structs.replace(batch, rows=rows)


def _read(given: GivenRow, hashed: KeyHash | None, issuer: str, *, accept_weak: bool) -> ImportRow | str:
    columns = read_columns(given) if isinstance(given, bytes) else given
    if isinstance(columns, str | ImportRow):
        return columns
    try:
        row = read_row(columns, hmac_hash=hashed, accept_weak=accept_weak)
        require_not_reserved(_audiences(row), issuer)
    except RowRefused as refused:
        return str(refused)
    except InvalidRequest:
        return "audience: it is only for admin keys"
    if isinstance(row.secret, SlowlyHashed) and row.secret.algorithm != "django":
        require_libraries()
    return row


def _audiences(row: ImportRow) -> Sequence[str]:
    return [row.fields.get("audience") or "", *row.fields.get("more_audiences", ())]
