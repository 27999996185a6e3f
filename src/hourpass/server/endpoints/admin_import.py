"""`POST /admin/v1/keys/import`: reads JSON lines while they come, and has them imported batch by batch.

Each batch is a transaction of its own, for which the caller and its access token are judged again. The next one is read
after it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from hourpass.admin import shapes
from hourpass.core.errors import ExtraMissing, InvalidRequest
from hourpass.server.admin.key_import import ImportBatch, add_batch
from hourpass.server.keys.import_rows import MAX_LINE
from hourpass.server.keys.importing import rows_together
from hourpass.server.transport.request import Request

IMPORT_LIMIT = 64 * 1024 * 1024
"""Bytes of the body of an import."""

BATCH_BYTES = 256 * 1024
"""Bytes of the rows of a batch. It has fewer rows than others if they are that long."""

MOST_LISTED = 10_000
"""Lines that one answer lists. The rest is only counted."""

CarryOut = Callable[[ImportBatch], Awaitable[shapes.ImportedKeys]]


class _HmacSecret(msgspec.Struct, forbid_unknown_fields=True):
    """The first line of a body, if its hashes were made with a secret. It stands there because bodies are in no log."""

    hmac_secret: str

    def __repr__(self) -> str:
        """Without the secret."""
        return "_HmacSecret(…)"


async def import_body(request: Request, asked: shapes.ImportKeys, carry_out: CarryOut) -> shapes.ImportedKeys:
    """Import the keys of a body.

    Raises:
        InvalidRequest: if the body is not JSON lines. The batches before are imported.
        Refused, Unavailable: what `carry_out` raises.
    """
    members = msgspec.structs.asdict(asked)
    whole = shapes.ImportedKeys()
    # An empty batch judges the caller before a byte of the body is read.
    await carry_out(ImportBatch(rows=[], **members))
    secret: str | None = None
    most = rows_together(dry_run=asked.dry_run)
    rows: list[tuple[int, bytes]] = []
    size = 0
    async for number, line in _lines(request, asked.first_line):
        if number == asked.first_line and (first := _hmac_secret(line)) is not None:
            secret = first
        else:
            rows.append((number, line))
            size += len(line)
        if len(rows) == most or size >= BATCH_BYTES:
            await _import(whole, ImportBatch(rows=rows, hmac_secret=secret, **members), carry_out)
            rows, size = [], 0
    if rows:
        await _import(whole, ImportBatch(rows=rows, hmac_secret=secret, **members), carry_out)
    return whole


async def _import(whole: shapes.ImportedKeys, batch: ImportBatch, carry_out: CarryOut) -> None:
    try:
        done = await carry_out(batch)
    except ExtraMissing as error:
        raise InvalidRequest(f"the server cannot import this: {error.detail}") from None
    add_batch(whole, done, MOST_LISTED)


async def _lines(request: Request, first: int) -> AsyncIterator[tuple[int, bytes]]:
    """The lines of the body that are not empty. All are numbered, from `first` on."""
    number, begun = first, bytearray()
    async for piece in _pieces(request):
        begun += piece
        if b"\n" in piece:  # otherwise a line in many small pieces would be split again with each of them
            *lines, rest = bytes(begun).split(b"\n")
            begun = bytearray(rest)
            for line in lines:
                if line.strip():  # here, because a body may have millions of empty ones
                    yield number, line
                number += 1
        if len(begun) > MAX_LINE:
            raise InvalidRequest(f"line {number} is longer than 64 KiB: this is not a list of keys")
    if begun.strip():
        yield number, bytes(begun)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    if request.stream is None:
        yield request.body
        return
    async for piece in request.stream:
        yield piece


def _hmac_secret(line: bytes) -> str | None:
    try:
        found = msgspec.json.decode(line, type=_HmacSecret).hmac_secret
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not found:
        raise InvalidRequest("the HMAC secret is empty", name="hmac_secret")
    return found
