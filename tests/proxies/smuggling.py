"""Attempts to hide a request from a proxy: each is what one client sends, with a whole request somewhere inside.

The kinds are those of RFC 9112 §11.2 and of what proxies and servers were found to read differently since.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

Framing = Callable[[bytes], list[bytes]]


class Attempt(NamedTuple):
    """The lines after Host, and what follows the head: parts that are sent one after the other."""

    name: str
    lines: list[bytes]
    parts: list[bytes]
    method: bytes = b"POST"
    version: bytes = b"HTTP/1.1"
    form: bytes = b"%b"
    """How the target is written, with the path in it."""

    def sent(self, path: bytes, credential: bytes) -> list[bytes]:
        """The bytes for the wire, in parts."""
        first = b"%b %b %b" % (self.method, self.form % path, self.version)
        head = b"\r\n".join([first, b"Host: 127.0.0.1", credential, *self.lines, b"", b""])
        return [head + self.parts[0], *self.parts[1:]]


def length(content: bytes) -> bytes:
    return b"Content-Length: %d" % len(content)


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"

CODINGS = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:  chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunke",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
]

LENGTHS = [
    b"Content-Length: 0\r\nContent-Length: %d",
    b"Content-Length: %d\r\nContent-Length: 0",
    b"Content-Length: %d, 0",
    b"Content-Length: 0, %d",
    b"Content-Length: +%d",
    b"Content-Length: -%d",
    b"Content-Length: 0x%x",
    b"Content-Length: 0%d",
    b"Content-Length: %d;0",
    b"Content-Length: %d.0",
    b"Content-Length: 1_%d",
    b"Content-Length:\x0b%d",
    b"Content-Length : %d",
    b"Content-Length\t: %d",
    b" Content-Length: %d",
    b"Content_Length: %d",
    b"Content Length: %d",
    b"CONTENT-LENGTH: %d",
    b"X: y\nContent-Length: %d",
    b"X: y\rContent-Length: %d",
    b"X: y\r\n Content-Length: %d",
    b"Content-Length:\r\n %d",
    b"Connection: Content-Length\r\nContent-Length: %d",
    b"Connection: close, Content-Length\r\nContent-Length: %d",
]

CHUNKS: dict[str, Framing] = {
    "an extension with a line end": lambda hidden: [b"1;a=\nb\r\nx\r\n" + LAST + hidden],
    "an extension with a carriage return": lambda hidden: [b"1;a=\rb\r\nx\r\n" + LAST + hidden],
    "an endless extension": lambda hidden: [b"1;" + b"a" * 20_000 + b"\r\nx\r\n" + LAST + hidden],
    "bare line ends": lambda hidden: [b"1\nx\n0\n\n" + hidden],
    "a bare end of the last chunk": lambda hidden: [b"1\r\nx\r\n0\n\n" + hidden],
    "a size with a prefix": lambda hidden: [b"0x1\r\nx\r\n" + LAST + hidden],
    "a size with a sign": lambda hidden: [b"+1\r\nx\r\n" + LAST + hidden],
    "a negative size": lambda hidden: [b"-1\r\nx\r\n" + LAST + hidden],
    "a size that wraps": lambda hidden: [b"10000000000000001\r\nx\r\n" + LAST + hidden],
    "a size with a space": lambda hidden: [b"1 \r\nx\r\n" + LAST + hidden],
    "an underscore in the size": lambda hidden: [b"0_1\r\nx\r\n" + LAST + hidden],
    "an empty size": lambda hidden: [b"\r\n" + LAST + hidden],
    "more data than the size says": lambda hidden: [b"1\r\n" + hidden + b"\r\n" + LAST],
    "no line end after the data": lambda hidden: [b"1\r\nx" + LAST + hidden],
    "anything after the data": lambda hidden: [b"1\r\nxYY" + LAST + hidden],
    "a request behind": lambda hidden: [chunk(b"x") + LAST + hidden],
    "a request behind, later": lambda hidden: [chunk(b"x") + LAST, hidden],
    "a request as the trailers": lambda hidden: [b"0\r\n" + hidden],
    "a request behind the trailers": lambda hidden: [b"0\r\nX: y\r\n\r\n" + hidden],
    "a length among the trailers": lambda hidden: [b"0\r\n" + length(hidden) + b"\r\n\r\n" + hidden],
    "a coding among the trailers": lambda hidden: [b"0\r\n" + CHUNKED + b"\r\n\r\n" + chunk(hidden) + LAST],
    "trailers with a bare line end": lambda hidden: [b"0\r\nX: y\n\n" + hidden],
    "a folded trailer": lambda hidden: [b"0\r\nX: y\r\n z\r\n\r\n" + hidden],
}


def upgrades(hidden: bytes) -> Iterator[Attempt]:
    for method in (b"POST", b"GET"):
        for word in (b"h2c", b"websocket", b"TLS/1.0", b"anything", b"h2c, anything", b""):
            lines = [b"Connection: Upgrade", b"Upgrade: " + word]
            said = f"{method.decode()} with Upgrade: {word.decode()}, "
            yield Attempt(said + "body at once", [*lines, length(hidden)], [hidden], method)
            yield Attempt(said + "body later", [*lines, length(hidden)], [b"", hidden], method)
            yield Attempt(said + "chunked", [*lines, CHUNKED], [chunk(hidden) + LAST], method)
            yield Attempt(said + "chunked later", [*lines, CHUNKED], [b"", chunk(hidden) + LAST], method)
            yield Attempt(said + "no body", lines, [b"", hidden], method)
    settings = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"]
    yield Attempt("an offer as curl makes it", [*settings, length(hidden)], [b"", hidden])
    yield Attempt("Connection: upgrade alone", [b"Connection: upgrade", length(hidden)], [b"", hidden])
    yield Attempt("CONNECT", [length(hidden)], [b"", hidden], b"CONNECT")


def lengths(hidden: bytes) -> Iterator[Attempt]:
    for first, second in ((b"Content-Length: 5", CHUNKED), (CHUNKED, b"Content-Length: 5")):
        yield Attempt(f"both, {first.decode()} first", [first, second], [LAST + hidden])
        yield Attempt(f"both, {first.decode()} first, a chunk", [first, second], [chunk(hidden) + LAST])
    for line in LENGTHS:
        for when in ([hidden], [b"", hidden]):
            name = f"{line!r}{'' if len(when) == 1 else ', later'}"
            yield Attempt(name, [line.replace(b"%x", b"%d") % len(hidden)], when)


def codings(hidden: bytes) -> Iterator[Attempt]:
    for line in CODINGS:
        whole = LAST + hidden
        yield Attempt(f"{line!r} and the length of all", [line, length(whole)], [whole])
        yield Attempt(f"the length of all and {line!r}", [length(whole), line], [whole])
        yield Attempt(f"{line!r} and a short length", [line, b"Content-Length: 4"], [chunk(hidden) + LAST])
        yield Attempt(f"{line!r} alone", [line], [chunk(b"x") + LAST + hidden])
    for name, framing in CHUNKS.items():
        yield Attempt(f"chunked: {name}", [CHUNKED], framing(hidden))


def bodies(hidden: bytes) -> Iterator[Attempt]:
    for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE", b"get", b"POST"):
        name = method.decode()
        yield Attempt(f"{name} with a body", [length(hidden)], [hidden], method)
        yield Attempt(f"{name} with a body later", [length(hidden)], [b"", hidden], method)
        yield Attempt(f"{name} with a body that was not said", [], [hidden], method)
        expects = b"Expect: 100-continue"
        yield Attempt(f"{name}, Expect, later", [expects, length(hidden)], [b"", hidden], method)
        yield Attempt(f"{name}, Expect, at once", [expects, length(hidden)], [hidden], method)
    for line in (b"Expect: 100-continue, 100-continue", b"Expect: y", b"Expect: 100-Continue\r\nExpect: y", b"Expect:"):
        yield Attempt(f"{line!r}", [line, length(hidden)], [b"", hidden])
    yield Attempt("Expect and no body", [b"Expect: 100-continue", b"Content-Length: 0"], [b"", hidden])
    yield Attempt("a body that ends too early", [b"Content-Length: 4096"], [hidden])


def versions(hidden: bytes) -> Iterator[Attempt]:
    for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 HTTP/1.1", b""):
        yield Attempt(f"version {version!r}", [length(hidden)], [hidden], version=version)
    yield Attempt("HTTP/1.0 in chunks", [CHUNKED], [chunk(hidden) + LAST], version=b"HTTP/1.0")
    yield Attempt("HTTP/1.0 kept alive", [b"Connection: keep-alive"], [hidden], version=b"HTTP/1.0")
    for form in (
        b"http://other%b",
        b"HTTP://other:80%b",
        b"//other%b",
        b"%b\t",
        b"%b\x0b",
        b"%b HTTP/1.1\r\nX:",
        b"%b#x",
    ):
        yield Attempt(f"target {form!r}", [length(hidden)], [hidden], form=form)
    yield Attempt("a second Host", [b"Host: other", length(hidden)], [hidden])
    yield Attempt("a bare line end ends the head", [b"X: y\n\n" + hidden], [b""])
    yield Attempt("bare carriage returns end the head", [b"X: y\r\r" + hidden], [b""])
    yield Attempt("a nul in a name", [b"X\x00: y", length(hidden)], [hidden])
    yield Attempt("a name with a space", [b"X Y: z", length(hidden)], [hidden])
    yield Attempt("empty lines before", [length(b"")], [b"\r\n\r\n\r\n" + hidden])


def attempts(hidden: bytes) -> list[Attempt]:
    """All of them, for one request that is to be hidden."""
    kinds = (upgrades, lengths, codings, bodies, versions)
    return [attempt for kind in kinds for attempt in kind(hidden)]
