"""The administration over a server's admin API: the same operations as on the database, and the same errors."""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click
import httpx2
import msgspec

from hourpass import __version__
from hourpass.admin import operations, shapes
from hourpass.admin.http import Written, write_request
from hourpass.admin.operations import ROOT, Operation
from hourpass.cli.terminal import plain, say
from hourpass.client.auth.httpx2 import HourpassAuth
from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError, HourpassError, InsufficientScope, LoginRequired, Unavailable
from hourpass.core.key_shape import BEGINNING
from hourpass.home import folder_for
from hourpass.ownership import note_on_readers, read_named_file, trusted_socket
from hourpass.server.admin.key_import import ImportBatch
from hourpass.server.settings.parsers import UNIX, listen_address
from hourpass.urls import check_url

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)

TIMEOUT = 60
"""Seconds for an answer."""

ROWS = 5_000
"""Rows in one request of an import. They are sent again if the token was refused, so they stay in memory."""

PATIENCE = 45
"""Seconds for which a call is repeated: longer than a call that was interrupted is reserved at the server."""


ON_A_SOCKET = "http://localhost"
"""The URL of a server behind a unix socket: its Host header must be a name of this machine (RFC 9110 §7.2)."""


class Remote:
    """A server's admin listener at `url`, an address `unix:/PATH` or an http(s) URL.

    `key_file` holds an admin key, which is sent only to be exchanged.

    `now` is this machine's time, in epoch milliseconds. `time` is seconds on a clock that nobody sets.
    """

    def __init__(
        self,
        url: str,
        key_file: str,
        now: int,
        *,
        environ: Any,
        time: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._time = time
        self._sleep = sleep
        self._url = _checked(url)
        self.name = f"Server: {self._url}"
        self.now = now
        self.rows_together = ROWS
        socket = _trusted(self._url) if self._url.startswith(UNIX) else None
        key = _read_key(key_file)
        logging.getLogger("hourpass").addHandler(logging.NullHandler())  # the command tells errors itself
        base = self._url if socket is None else ON_A_SOCKET
        cache = _cache(self._url, key, environ)
        source = TokenSource(base, lambda: key, cache=cache, transport=_transport(socket))
        self._client = httpx2.Client(
            base_url=base + ROOT,
            transport=_transport(socket),
            auth=HourpassAuth(source),
            headers={"user-agent": f"hourpass/{__version__}"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def call(self, operation: Operation[Q, A], asked: Q) -> A:
        """Carry out one operation. It is repeated if its answer was lost, or if the server says when to come back."""
        return self._send(operation, write_request(operation, asked))

    def _send(self, operation: Operation[Any, A], written: Written) -> A:
        """Send a request until it is answered. A POST has one Idempotency-Key for all attempts: it is done once."""
        if operation.method == "POST":
            written.headers["idempotency-key"] = secrets.token_hex(16)
        may_repeat = operation.reads or operation.method == "POST"
        give_up, may_have_arrived = self._time() + PATIENCE, False
        while True:
            try:
                return self._read(self._attempt(operation.method, written), operation)
            except _Again as again:
                may_have_arrived |= again.may_have_arrived
                if not (may_repeat and may_have_arrived) or self._time() + again.wait > give_up:
                    raise again.error from again.__cause__
                self._sleep(again.wait)

    def _read(self, content: bytes, operation: Operation[Any, A]) -> A:
        try:
            return msgspec.json.decode(content, type=operation.answers)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            words = (
                "something else than an admin listener does: is the URL right, and the server as new as this command?"
            )
            raise HourpassError(f"{self._url} answers {words}") from None

    def _attempt(self, method: str, written: Written) -> bytes:
        path = written.path + (f"?{urlencode(written.query)}" if written.query else "")
        try:
            response = self._client.request(method, path, content=written.body, headers=written.headers)
        except LoginRequired as error:
            raise _key_refused(error.reason) from error
        except Unavailable as error:
            raise Unavailable(f"{self._url} cannot be asked: {error.detail}") from error
        except httpx2.HTTPError as error:
            lost = Unavailable(f"{self._url} does not answer: {type(error).__name__}")
            raise _Again(lost, 1, may_have_arrived=not isinstance(error, httpx2.ConnectError)) from error
        if response.status_code < 300:
            return response.content
        wait = response.headers.get("retry-after", "")
        if response.status_code in {409, 429, 503} and wait.isdigit():
            raise _Again(_refusal(response), int(wait), may_have_arrived=True)
        raise _refusal(response)

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


class _Again(Exception):
    """The same request may get an answer after `wait` seconds. Otherwise it ends with `error`."""

    def __init__(self, error: HourpassError, wait: int, *, may_have_arrived: bool) -> None:
        super().__init__()
        self.error = error
        self.wait = wait
        self.may_have_arrived = may_have_arrived


class _Problem(msgspec.Struct):
    title: str = ""
    code: str = ""
    detail: str = ""
    reason: str | None = None


def _refusal(response: httpx2.Response) -> HourpassError:
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = _Problem()
    # On one line: what a server says must not look like words of this command.
    words = plain(problem.detail or problem.title or f"the server answered {response.status_code}")
    if response.status_code == 401:
        return _key_refused(problem.reason)
    if problem.code == InsufficientScope.code:
        return HourpassError(f"{words}, and your admin key does not have it")
    return Unavailable(words) if response.status_code == 503 else HourpassError(words)


def _key_refused(reason: str | None) -> HourpassError:
    """What to say when the server takes neither the admin key nor its token."""
    if reason == "wrong_listener":
        return HourpassError("this is not an admin key, or the URL is not that of the admin listener")
    return HourpassError("the server does not accept the admin key" + (f": {plain(reason)}" if reason else ""))


_BELOW = re.compile(r"(?<=[^/])/(console|admin/v1)(/.*)?$")
"""The path of a page or a route of the admin listener, at the end of its URL."""


def _checked(url: str) -> str:
    try:
        checked = listen_address(url) if url.startswith(UNIX) else check_url(url)
    except ValueError as error:
        raise ConfigurationError(f"--server: {error}") from None
    except ConfigurationError:
        # Without the URL, which may hold a password.
        words = "--server must be https://HOST, http:// to this machine, with at most a port and a path, or unix:/PATH"
        raise ConfigurationError(words) from None
    if not checked.startswith(UNIX) and (page := _BELOW.search(checked)):
        raise ConfigurationError(f"--server is the admin listener itself, without a page: {checked[: page.start()]}")
    return checked


def _transport(socket: str | None) -> httpx2.HTTPTransport | None:
    """How a unix socket is reached. None for the library's own way, if there is none."""
    return None if socket is None else httpx2.HTTPTransport(uds=socket)


class _NotTrusted(click.ClickException):
    """The wrong usage that no help of a command explains: a key would go to somebody else."""

    exit_code = 2


def _trusted(url: str) -> str:
    """The path of the socket, if nobody else could have put it there."""
    try:
        return str(trusted_socket(Path(url.removeprefix(UNIX))))
    except ConfigurationError as error:
        raise _NotTrusted(f"--server: {error.detail}") from None
    except OSError as error:
        raise Unavailable(f"{url} cannot be asked: {error.strerror}") from None


def _read_key(file: str) -> str:
    # A key may be given in the place of its file's name, by mistake: then the name is not repeated.
    shown = "the file of your admin key" if re.search(BEGINNING, file) else file
    try:
        key = read_named_file(Path(file)).strip()
    except ConfigurationError as error:
        raise ConfigurationError(error.detail.replace(file, shown)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"cannot read the admin key from {shown}: {reason}") from None
    if note := note_on_readers(Path(file)):
        say(note.replace(file, shown))
    return key


def _cache(url: str, key: str, environ: Any) -> FileCache | MemoryCache:
    """One cached pair for each server and key, so that a command does not open a grant each time."""
    folder = folder_for("CACHE", ".cache", environ)
    if folder is None:
        return MemoryCache()
    name = hashlib.sha256(f"{url}\0{key[:-26]}".encode()).hexdigest()[:16]
    return FileCache(folder / "hourpass" / f"admin-{name}")
