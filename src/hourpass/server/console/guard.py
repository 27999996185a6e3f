"""What every answer of the console says to the browser, and what is read of a request before we know who sent it.

A browser keeps no page, shows none in a frame, runs only the console's own files, and tells no other site where it is.
"""

from typing import NamedTuple

from hourpass.core.address import in_networks
from hourpass.core.sign_in import is_id
from hourpass.server.transport.request import Headers, Request
from hourpass.wire.reading import read_pairs

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy (CSP Level 3)."""

EVERY: Headers = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]

OF_PAGES: Headers = [*EVERY, (b"cache-control", b"no-store"), (b"content-type", b"text/html; charset=utf-8")]

OF_ASSETS: Headers = [*EVERY, (b"cache-control", b"public, max-age=31536000, immutable"), (b"vary", b"accept-encoding")]

MOST_IDS = 16
"""Cookies of one name that are looked at. The browser sends those of the shortest path last, and ours has the root."""

MAX_FIELDS = 200
"""Fields of a form or a query."""


class Cookie(NamedTuple):
    """A cookie (RFC 6265): the id of a sign-in or of a browser at the door, or what was just done.

    Its name has the port that the browser asks for, because cookies do not tell ports apart: consoles on two ports of
    one machine, such as two tunnels, would sign each other out. Behind https no other host can set it (`__Host-`).
    """

    name: str
    secure: bool

    def ids_in(self, request: Request) -> list[str]:
        """What a request carries that looks like an id of ours."""
        return [value for value in self.values_in(request) if is_id(value)][-MOST_IDS:]

    def values_in(self, request: Request) -> list[str]:
        """The values that a request carries under the name of this cookie.

        There may be several: a server on another port of this host can set a cookie of this name for another path.
        """
        lines = [value.decode("latin-1") for name, value in request.headers if name == b"cookie"]
        pairs = [pair.strip(" ").partition("=") for line in lines for pair in line.split(";")]
        return [value for name, _, value in pairs if name == self.name]

    def setting(self, value: str, seconds: int | None = None) -> tuple[bytes, bytes]:
        """The header that gives the browser a value, for so many seconds or until it closes."""
        age = "" if seconds is None else f" Max-Age={seconds};"
        return b"set-cookie", f"{self.name}={value};{age} {self._attributes()}".encode()

    def removal(self) -> tuple[bytes, bytes]:
        """The header that takes it away."""
        return b"set-cookie", f"{self.name}=; Max-Age=0; {self._attributes()}".encode()

    def _attributes(self) -> str:
        return "Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if self.secure else "")


def cookie_of(request: Request, kind: str = "hourpass") -> Cookie:
    """The cookie for the address that the browser asks: that of a sign-in, or another `kind`."""
    secure = is_https(request)
    port = host_of(request).rpartition("]")[2].partition(":")[2]
    name = f"{kind}_{port}" if port.isdecimal() else kind
    return Cookie(f"__Host-{name}" if secure else name, secure)


def host_of(request: Request) -> str:
    """The Host header, empty if there is none."""
    return (request.header(b"host") or b"").decode("latin-1")


def is_https(request: Request) -> bool:
    """Whether the browser speaks https, as a trusted proxy says (X-Forwarded-Proto). The listener speaks http."""
    told = [value for name, value in request.headers if name == b"x-forwarded-proto"]
    trusted = request.peer is not None and in_networks(request.peer, request.trusted_proxies)
    # Of several proxies, the browser spoke to the first. A client that lies here gets a cookie that it cannot use.
    return trusted and b",".join(told).partition(b",")[0].strip().lower() == b"https"


def text_of(request: Request, name: bytes) -> str | None:
    """The value of a header as text, None if there is none."""
    value = request.header(name)
    return None if value is None else value.decode("latin-1")


def fields_of(encoded: bytes) -> dict[str, str]:
    """The fields of a query or a form. Of a field that comes twice, the last one is valid.

    Raises:
        InvalidRequest: if it is malformed, or has too many fields.
    """
    return dict(read_pairs(encoded, MAX_FIELDS, "the form is malformed"))
