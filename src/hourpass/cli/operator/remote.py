"""The administration over a server's admin API: the same operations as on the database, and the same errors."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

from hourpass import __version__
from hourpass.admin import operations, shapes
from hourpass.admin.http import Written, write_request
from hourpass.admin.operations import ROOT, Operation
from hourpass.client.auth.httpx2 import HourpassAuth
from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError, HourpassError, Unavailable
from hourpass.home import folder_for
from hourpass.ownership import read_named_file
from hourpass.server.admin.key_import import ImportBatch
from hourpass.urls import check_url

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)

TIMEOUT = 60
"""Seconds for an answer."""

ROWS = 5_000
"""Rows in one request of an import. They are sent again if the token was refused, so they stay in memory."""


class Remote:
    """A server's admin listener at `url`. `key_file` holds an admin key, which is exchanged and never sent besides.

    `now` is this machine's time, in epoch milliseconds.
    """

    def __init__(self, url: str, key_file: str, now: int, *, environ: Any) -> None:
        self._url = check_url(url)
        self.name = f"Server: {self._url}"
        self.now = now
        self.rows_together = ROWS
        key = _read_key(key_file)
        source = TokenSource(self._url, lambda: key, cache=_cache(self._url, key, environ))
        self._client = httpx2.Client(
            base_url=self._url + ROOT,
            auth=HourpassAuth(source),
            headers={"user-agent": f"hourpass/{__version__}"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def call(self, operation: Operation[Q, A], asked: Q) -> A:
        """Carry out one operation."""
        return self._send(operation, write_request(operation, asked))

    def _send(self, operation: Operation[Any, A], written: Written) -> A:
        try:
            response = self._client.request(
                operation.method,
                written.path + (f"?{urlencode(written.query)}" if written.query else ""),
                content=written.body,
                headers=written.headers,
            )
        except httpx2.HTTPError as error:
            raise Unavailable(f"{self._url} does not answer: {type(error).__name__}") from error
        if response.status_code >= 400:
            raise _refusal(response)
        return msgspec.json.decode(response.content, type=operation.answers)

    def call_each(self, operation: Operation[Q, A], asked: Sequence[Q]) -> Iterator[A]:
        """Carry out an operation several times, one request for each."""
        return (self.call(operation, each) for each in asked)

    def import_rows(self, batch: ImportBatch) -> shapes.ImportedKeys:
        """Import a batch of keys. A row that cannot be read stays here."""
        how = shapes.ImportKeys(**{name: getattr(batch, name) for name in shapes.ImportKeys.__struct_fields__})
        how.first_line = batch.rows[0][0] - (batch.hmac_secret is not None)
        written = write_request(operations.IMPORT_KEYS, how)
        body = b"".join(_lines(batch, how.first_line))
        headers = {"content-type": "application/jsonl"}
        done = self._send(operations.IMPORT_KEYS, written._replace(body=body, headers=headers))
        bad = [(line, row) for line, row in batch.rows if isinstance(row, str)]
        done.failed += len(bad)
        done.lines += [shapes.ImportedLine(line=line, result="failed", reason=reason) for line, reason in bad]
        done.lines.sort(key=lambda each: each.line)
        return done


def _lines(batch: ImportBatch, number: int) -> Iterator[bytes]:
    """The rows as JSON lines, at the numbers that they have in the file: empty lines stand for what is not sent."""
    if batch.hmac_secret is not None:
        yield msgspec.json.encode({"hmac_secret": batch.hmac_secret})
    for line, row in batch.rows:
        if not isinstance(row, str):
            yield b"\n" * (line - number)
            yield row if isinstance(row, bytes) else msgspec.json.encode(row)
            number = line


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    code: str = ""


def _refusal(response: httpx2.Response) -> HourpassError:
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = _Problem()
    words = problem.detail or problem.title or f"the server answered {response.status_code}"
    return Unavailable(words) if response.status_code == 503 else HourpassError(words)


def _read_key(file: str) -> str:
    try:
        return read_named_file(Path(file)).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"cannot read the admin key: {reason}") from None


def _cache(url: str, key: str, environ: Any) -> FileCache | MemoryCache:
    """One cached pair for each server and key, so that a command does not open a grant each time."""
    folder = folder_for("CACHE", ".cache", environ)
    if folder is None:
        return MemoryCache()
    name = hashlib.sha256(f"{url}\0{key[:-26]}".encode()).hexdigest()[:16]
    return FileCache(folder / "hourpass" / f"admin-{name}")
