"""HTTP/1.1 messages as bytes (RFC 9112): a strict reader of requests, and a writer of answers.

These are pure functions. Everything that is not exactly HTTP is refused, because a proxy in front may have read it in
another way.
"""

import re
import string
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote

from hourpass.server.telemetry.refusals import ConnectionFault
from hourpass.server.transport.request import LONGEST_REMEMBERED, UNSIZED, Headers, Reply, Request
from hourpass.wire.problems import PROBLEM, write_problem

IN_CHUNKS = -1
"""The length of a body in chunks, which is not known before its end."""

MAX_LINES = 256
"""The most headers or trailers of one request. Each one costs time, even if it is short."""

MAX_KEPT = 64
"""A line of up to so many bytes is cached for the next time it comes. No credential of ours is so short."""

MAX_HEAD_KEPT = 4_096
"""The framing of a header block of up to so many bytes is cached for the next time it comes."""

MAX_BLOCK_KEPT = 512
"""A whole header block of up to so many bytes is cached if all its lines may be. One with an access token is longer."""

MAX_BLOCKS_KEPT = 1_024

MAX_ENCODED = 1_024
"""A path of up to so many characters is decoded. No route of ours is longer."""

_TEXT = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_TARGET = bytes(code for code in range(0x21, 0x7F) if code != ord("#"))
_TOKEN = b"!#$%&'*+-.^_`|~" + (string.ascii_letters + string.digits).encode()
BROKEN = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]|(?<!\r)\n|\r(?=[^\n])")
_METHOD_BEGUN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ |[!#$%&'*+.^_`|~0-9A-Za-z-]*\r?\Z")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]+)(.*)")
_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))


class RefusedRequest(Exception):
    """A request that is refused before it reaches the application. It ends its connection."""

    def __init__(self, status: int, kind: ConnectionFault) -> None:
        self.status = status
        self.kind: ConnectionFault = kind


def malformed() -> RefusedRequest:
    """The error for a request that is not HTTP."""
    return RefusedRequest(400, "malformed")


def find_head(data: bytes, scanned: int, limit: int) -> tuple[int, int]:
    """The start and the end of a header block. The end excludes the empty line, and is -1 if more must come.

    An empty line before the block is skipped (RFC 9112 §2.2). Bytes that cannot become one are refused early. The first
    `scanned` bytes were checked before.

    Raises:
        RefusedRequest: if the block is too large or is not HTTP.
    """
    start = 2 if data[:2] == b"\r\n" else 0
    end = data.find(b"\r\n\r\n", start)
    if (len(data) if end < 0 else end + 4) - start > limit:
        raise RefusedRequest(431, "headers_too_large")
    if end < 0 and (BROKEN.search(data, max(scanned - 1, 0)) or not _METHOD_BEGUN.match(data, start)):
        raise malformed()
    return start, end


_Framing = tuple[int, bool, bool]
_Block = tuple[str, str, bytes, tuple[tuple[bytes, bytes], ...], _Framing]
_blocks: dict[bytes, _Block] = {}
"""The cached header blocks. Most requests for tokens come with the same one."""


def read_head(head: bytes, peer: str | None) -> tuple[Request, _Framing]:
    """Read a request from its header block, without its body, and its framing.

    The framing is the length of the body (or IN_CHUNKS), whether the connection may be kept, and whether the client
    waits for 100 Continue.

    Raises:
        RefusedRequest: if the block is not HTTP or has too many lines.
    """
    block = _blocks.get(head) if len(head) <= MAX_BLOCK_KEPT else None
    if block is None:
        block = _block(head)
        if len(head) <= MAX_BLOCK_KEPT and max(map(len, head.split(b"\r\n"))) <= MAX_KEPT:
            if len(_blocks) >= MAX_BLOCKS_KEPT:
                _blocks.clear()
            _blocks[head] = block
    method, path, query, headers, framing = block
    return Request(method, path, query, headers, peer), framing


def _block(head: bytes) -> _Block:
    line, *lines = head.split(b"\r\n")
    if len(lines) > MAX_LINES:
        raise RefusedRequest(431, "headers_too_large")
    method, path, query, is_1_1 = _request_line(line) if len(line) <= MAX_KEPT else _request_line.__wrapped__(line)
    headers = tuple([_field(line) if len(line) <= MAX_KEPT else read_field(line) for line in lines])
    # The framing of a huge block is not cached, so the cache stays small.
    framing = _framing if len(head) <= MAX_HEAD_KEPT else _framing.__wrapped__
    fields = tuple([field for field in headers if field[0] in _FRAMING])
    return method, path, query, headers, framing(fields, is_1_1)


@lru_cache(maxsize=256)
def _request_line(line: bytes) -> tuple[str, str, bytes, bool]:
    """Method, path, query, and whether it is HTTP/1.1 (RFC 9112 §3)."""
    words = line.split(b" ")
    if len(words) != 3:
        raise malformed()
    method, target, version = words
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or method.translate(None, _TOKEN) or not method:
        raise malformed()
    return method.decode(), *_path_and_query(target), version == b"HTTP/1.1"


def read_field(line: bytes) -> tuple[bytes, bytes]:
    """A header's name in lower case, and its value. Control characters are refused, and so is half of a line's end.

    A space in the name means a folded line, or a space before the colon. Both are refused (RFC 9112 §5).
    """
    name, colon, value = line.partition(b":")
    if not colon or not name or name.translate(None, _TOKEN) or value.translate(None, _TEXT):
        raise malformed()
    return name.lower(), value.strip(b" \t")


_field = lru_cache(maxsize=1_024)(read_field)


@lru_cache(maxsize=256)
def _framing(fields: tuple[tuple[bytes, bytes], ...], is_1_1: bool) -> _Framing:  # noqa: FBT001
    """The body's length, whether the connection may be kept, and whether the client waits for 100 Continue."""
    named: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        named.setdefault(name, []).append(value)
    hosts = named.get(b"host", [])
    if len(hosts) > 1 or (is_1_1 and not hosts) or not all(map(_is_host, hosts)):
        raise malformed()  # RFC 9112 §3.2
    keep = is_1_1 and not any(
        word.strip(b" \t").lower() == b"close" for value in named.get(b"connection", []) for word in value.split(b",")
    )
    waits = is_1_1 and [value.lower() for value in named.get(b"expect", [])] == [b"100-continue"]
    return _length(named.get(b"transfer-encoding"), named.get(b"content-length"), is_1_1=is_1_1), keep, waits


def _path_and_query(target: bytes) -> tuple[str, bytes]:
    """Path and query of the origin form or the absolute form (RFC 9112 §3.2). Its host is not trusted, like Host."""
    if target.translate(None, _TARGET):
        raise malformed()
    if target[:1] != b"/":
        absolute = _ABSOLUTE.fullmatch(target)
        if target == b"*":
            return "*", b""
        if absolute is None or not _is_host(absolute[1]) or absolute[2][:1] not in (b"", b"/", b"?"):
            raise malformed()
        target = absolute[2] if absolute[2][:1] == b"/" else b"/" + absolute[2]
    path, _, query = target.partition(b"?")
    text = path.decode("ascii")
    return (unquote(text) if "%" in text and len(text) <= MAX_ENCODED else text), query


def _length(codings: list[bytes] | None, lengths: list[bytes] | None, *, is_1_1: bool) -> int:
    """The body's length (RFC 9112 §6.3). Two lengths, or one beside chunks, are refused: they can smuggle a request."""
    if codings is not None:
        if lengths is not None or not is_1_1 or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise malformed()
        return IN_CHUNKS
    if lengths is None:
        return 0
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise malformed()
    return int(lengths[0])


def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


# Answers.

HEADS = 4_096
"""How many heads of answers are remembered."""

LONGEST_HEAD = 2 * LONGEST_REMEMBERED
"""The longest head that is remembered, in bytes. With the identity headers of a credential it is about half as long."""

_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_heads: dict[tuple[int | tuple[bytes, bytes], ...], bytes] = {}
_STATUS_LINES = {each.value: b"HTTP/1.1 %d %b\r\n" % (each.value, each.phrase.encode()) for each in HTTPStatus}


def answer(reply: Reply, date: bytes, *, head_only: bool, close: bool) -> bytes:
    """A whole answer as bytes. `date` is the header line with the current time.

    Raises:
        ValueError: if a header is malformed, so that it could be read as two.
    """
    status, headers, body = reply.status, reply.headers, reply.body
    head = _heads.get((status, *headers)) or _head(status, headers)
    length = b"" if status in UNSIZED else b"content-length: %d\r\n" % len(body)
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return b"".join((head, date, length, end, b"" if head_only else body))


def _head(status: int, headers: Headers) -> bytes:
    """The status line and headers, which come again and again. They are checked and joined once (RFC 9110 §5.5)."""
    if any(_FIELD_NAME.fullmatch(name) is None or _FIELD_VALUE.fullmatch(value) is None for name, value in headers):
        raise ValueError("not a header")
    head = _STATUS_LINES[status] + b"".join(b"%b: %b\r\n" % header for header in headers)
    # Some heads repeat what the client sent, such as its Origin, so a long one is not remembered.
    if len(head) <= LONGEST_HEAD:
        if len(_heads) >= HEADS:
            _heads.clear()
        _heads[status, *headers] = head
    return head


def refusal(status: int) -> Reply:
    """The answer to a request that never reaches the application: a problem (RFC 9457)."""
    headers = [(b"content-type", PROBLEM), *([(b"retry-after", b"1")] if status == 503 else [])]
    return Reply(status, headers, write_problem(status))


def last_answer(reply: Reply) -> bytes:
    """The answer after which the connection ends."""
    return answer(reply, b"", head_only=False, close=True)
