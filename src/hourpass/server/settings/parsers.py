"""Parsers of settings. Each one takes text, or a value from a TOML file, and returns the value of the setting.

All of them raise ValueError, with a text that says what the value must be.
"""

import os
import re
import shlex
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from hourpass.core.authorization import claim_header
from hourpass.core.key_members import RESERVED_CLAIMS
from hourpass.core.key_shape import PREFIX_PATTERN

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def text(value: object) -> str:
    """Printable text that is not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("must be printable text")
    return value


def words_of_text(value: object) -> str:
    """Printable words, as a list or separated by white space. They are kept with one space between them."""
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("must be printable text, or a list of it")
    return " ".join(text(item) for item in items)


def command(value: object) -> tuple[str, ...]:
    """A program and its arguments: a list, or text with quotes as a shell has them. Nothing else of a shell works."""
    try:
        items = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"must be a program and its arguments: {error}") from None
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("must be a program and its arguments")
    return tuple(map(text, items))


def whole(low: int, high: int) -> Callable[[object], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return parse


def seconds(low: int, high: int) -> Callable[[object], int]:
    """A parser of durations from `low` to `high` seconds: whole seconds, or a number with s, m, h or d."""
    number = whole(low, high)

    def parse(value: object) -> int:
        if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,9})([smhd]?)", value)):
            value = int(match[1]) * _UNITS[match[2]]
        try:
            return number(value)
        except ValueError:
            raise ValueError(f"must be a duration from {low}s to {high}s, such as 90s, 15m, 12h or 30d") from None

    return parse


def off_or(parse: Callable[[object], int]) -> Callable[[object], int | Literal["off"]]:
    """A parser of `off`, or of what another parser takes."""

    def either(value: object) -> int | Literal["off"]:
        if value == "off":
            return "off"
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"{error}, or off") from None

    return either


def yes_no(value: object) -> bool:
    """A truth value: true or false, yes or no, 1 or 0."""
    known: dict[object, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("must be true or false")


def words(read: Callable[[str], object]) -> Callable[[object], tuple[str, ...]]:
    """A parser of lists. Each word is kept as `read` returns it, and only once if it comes twice."""

    def parse(value: object) -> tuple[str, ...]:
        items = value.replace(",", " ").split() if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError("must be a list, separated by spaces or commas")
        return tuple(dict.fromkeys(map(word, items)))

    def word(item: str) -> str:
        try:
            return str(read(item))
        except ValueError as error:
            # A word with an @ may hold a password, so it is not repeated.
            shown = "" if "@" in item or item in str(error) else f"{item!r}: "
            raise ValueError(f"{shown}{error}") from None

    return parse


def one_of(*choices: str) -> Callable[[object], str]:
    """A parser that accepts only these words."""

    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return parse


def url(value: object) -> str:
    """An http or https URL without user, query and fragment, in its normal form and without a slash at its end.

    It is an identity that others compare letter by letter (RFC 8414 §3.3). So another spelling is refused and not
    corrected: a person who configures a verifier must see the same text as we do.
    """
    given = text(value).rstrip("/")
    scheme, separator, rest = given.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or scheme.lower() not in _WEB_PORTS or any(letter in given for letter in "?#\\ "):
        raise ValueError("must be an http or https URL without query and fragment, such as https://auth.example.com")
    normal = _origin(scheme.lower(), host) + slash + path
    if not re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*", slash + path) or {".", ".."} & set(path.split("/")):
        raise ValueError("its path must be ASCII, without empty parts and without parts of dots only")
    if normal != given:
        raise ValueError(f"write it as {normal}: it is compared letter by letter")
    return given


def cors_origin(value: str) -> str:
    """An origin as browsers send it (RFC 6454 §6.2), or `*`: small letters, no default port, no slash at its end."""
    if value == "*":
        return value
    if value == "null":
        raise ValueError("null is the origin of any page in a sandbox: serve the page from an origin of its own")
    scheme, separator, rest = value.partition("://")
    if not separator:
        raise ValueError("an origin has a scheme, such as https://app.example.com")
    scheme = scheme.lower()
    if scheme in _APP_SCHEMES and re.fullmatch(r"[A-Za-z0-9._-]+", rest):
        return f"{scheme}://{rest}"
    if scheme not in _WEB_PORTS:
        raise ValueError(f"an origin begins with https:// or http://, or for an app with {', '.join(_APP_SCHEMES)}")
    host = rest.removesuffix("/")
    if re.search(r"[/?#\\]", host):
        raise ValueError("an origin ends after host and port: leave the path out, as in https://app.example.com")
    return _origin(scheme, host)


_WEB_PORTS = {"https": 443, "http": 80}
_APP_SCHEMES = ("capacitor", "chrome-extension", "ionic", "moz-extension", "tauri")
"""The schemes of apps and browser extensions, which send an origin of their own."""


def _origin(scheme: str, authority: str) -> str:
    """An origin in its normal form. No error text repeats the authority, because it may hold a password."""
    if "@" in authority:
        raise ValueError("it must not hold a user or a password")
    if "*" in authority:
        raise ValueError("a wildcard inside is not supported: name each origin, or * alone for all of them")
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?", authority)
    if found is None:
        raise ValueError("its host must be ASCII, as browsers send it (xn--…), with at most a port after it")
    port = int(found[2]) if found[2] else _WEB_PORTS[scheme]
    if not 0 < port < 65_536:
        raise ValueError("its port must be from 1 to 65535")
    host = _host(found[1].lower())
    return f"{scheme}://{host}" + ("" if port == _WEB_PORTS[scheme] else f":{port}")


def _host(host: str) -> str:
    """A host in its normal form. Addresses have one, too."""
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1])}]"
    labels = host.removesuffix(".").split(".")
    if not all(labels):
        raise ValueError("its host has an empty part")
    # A host that ends in a number is an address (URL Standard §3.5), and browsers send it with four parts.
    return str(IPv4Address(host)) if labels[-1].isdecimal() or labels[-1].startswith("0x") else host


UNIX = "unix:"
"""How the address of a unix socket begins."""

LONGEST_SOCKET_PATH = 103
"""Bytes that fit into an address of macOS. Linux has room for four more (unix(7))."""


def listen_address(given: str) -> str:
    """HOST:PORT, [IPV6]:PORT or unix:/PATH."""
    if given.startswith(UNIX):
        return UNIX + _socket_path(given.removeprefix(UNIX))
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):([0-9]{1,5})", given)
    if found is None:
        raise ValueError("must be HOST:PORT, [::1]:PORT or unix:/PATH")
    if int(found[2]) > 65_535:
        raise ValueError("its port must be from 0 to 65535")
    return given


def _socket_path(path: str) -> str:
    if path.startswith("@"):
        raise ValueError("an abstract socket has no owner and no mode, so anybody could take it: name a path")
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("the path of a unix socket begins with a slash, such as unix:/run/hourpass/http.sock")
    if (length := len(os.fsencode(path))) > LONGEST_SOCKET_PATH:
        raise ValueError(f"the path of a unix socket has at most {LONGEST_SOCKET_PATH} bytes, and this one {length}")
    return path


def host_name(given: str) -> str:
    """A name as browsers send it in Host, with a port if only that is meant: small letters, no scheme."""
    name, _, port = given.partition(":")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", name):
        raise ValueError("must be a name such as admin.example.com, in small letters and without a scheme")
    if ":" in given and not (port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError("its port must be from 1 to 65535")
    return given


def admin_address(value: object) -> str:
    """An address to listen on, or `off`."""
    given = text(value)
    try:
        return given if given == "off" else listen_address(given)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def socket_mode(value: object) -> str:
    """The mode of a file, such as 0660."""
    given = text(value)
    if not re.fullmatch(r"0?[0-7]{3}", given):
        raise ValueError("must be the mode of a file in octal digits, such as 0660")
    return given.rjust(4, "0")


def path_prefix(value: object) -> str:
    """A path such as `/login`, or empty text."""
    if value == "":
        return ""
    given = text(value)
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", given):
        raise ValueError("must be a path such as /login")
    return given


def key_prefix(value: object) -> str:
    """How new API keys begin."""
    if not isinstance(value, str) or not PREFIX_PATTERN.fullmatch(value):
        raise ValueError("must be a small letter, then up to 15 small letters and digits, such as acme")
    return value


def claims_and_headers(value: object) -> tuple[str, ...]:
    """Claims and their headers, as a table or as words `claim=Header`."""
    items = [f"{claim}={header}" for claim, header in value.items()] if isinstance(value, dict) else value
    found = words(_claim_header)(items)
    if len({word.partition("=")[2] for word in found}) < len(found):
        raise ValueError("gives two claims one header")
    return found


def _claim_header(word: str) -> str:
    claim, _, header = word.partition("=")
    if not claim or not header:
        raise ValueError("write CLAIM=HEADER, such as tenant=Hourpass-Claim-Tenant")
    if claim in RESERVED_CLAIMS:
        raise ValueError(f"a key has no claim {claim} of its own: the Hourpass-… headers say what a token says")
    return f"{claim}={claim_header(header)}"
