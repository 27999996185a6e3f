"""What the value of a setting may be: each parser takes text, or what a file has, and says what it wants instead.

All of them raise ValueError.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def text(value: object) -> str:
    """Printable text, not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("wants printable text")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    """A parser of whole numbers between two bounds."""

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"wants a whole number from {low} to {high}")
        return value

    return parse


def seconds(low: int, high: int) -> Callable[[object], int]:
    """A parser of durations between two bounds: whole seconds, or a number with s, m, h or d."""
    number = whole(low, high)

    def parse(value: object) -> int:
        if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,9})([smhd]?)", value)):
            value = int(match[1]) * _UNITS[match[2]]
        try:
            return number(value)
        except ValueError:
            raise ValueError(f"wants a duration from {low}s to {high}s, such as 90s, 15m, 12h or 30d") from None

    return parse


def yes_no(value: object) -> bool:
    """Whether it is true."""
    known: dict[object, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("wants true or false")


def words(check: Callable[[str], object] = str) -> Callable[[object], tuple[str, ...]]:
    """A parser of lists, each word of which passes a check."""

    def parse(value: object) -> tuple[str, ...]:
        items = value.replace(",", " ").split() if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError("wants a list, separated by spaces or commas")
        for item in items:
            check(item)
        return tuple(items)

    return parse


def one_of(*choices: str) -> Callable[[object], str]:
    """A parser that knows a few words."""

    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"wants one of {', '.join(choices)}")
        return str(value)

    return parse


def url(value: object) -> str:
    """An http or https URL, without a slash at its end."""
    given = text(value).rstrip("/")
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("wants an http or https URL without query and fragment")
    return given


def listen(value: object) -> str:
    """HOST:PORT, or `off`."""
    given = text(value)
    if given != "off" and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):[0-9]{1,5}", given):
        raise ValueError("wants HOST:PORT, or off")
    if given != "off" and int(given.rpartition(":")[2]) > 65_535:
        raise ValueError("wants HOST:PORT with a port up to 65535, or off")
    return given


def path_prefix(value: object) -> str:
    """A path such as `/login`, or none."""
    if value == "":
        return ""
    given = text(value)
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", given):
        raise ValueError("wants a path such as /login")
    return given
