"""The headers that tell an application who a request is from."""

from collections.abc import Sequence
from time import gmtime
from typing import Literal
from urllib.parse import quote

from hourpass.core.api_key import ClaimValue
from hourpass.wire.shapes import encode


def write_identity(
    subject: str,
    key_id: str,
    scope: str,
    environment: str,
    grant: str,
    auth: Literal["bearer", "api-key"],
    sunset: str = "",
    deprecation: str = "",
) -> list[tuple[str, str]]:
    """The headers that tell the application who a request is from.

    All of them are always there, even if they are empty. So a header that a client forged never takes the place of a
    missing one. The last two are of a raw key whose end is set, as `raw_key_end` writes them.
    """
    return [
        ("Hourpass-Subject", subject),
        ("Hourpass-Key-Id", key_id),
        ("Hourpass-Scope", scope),
        ("Hourpass-Environment", environment),
        ("Hourpass-Grant", grant),
        ("Hourpass-Auth", auth),
        ("Hourpass-Api-Key-Sunset", sunset),
        ("Hourpass-Api-Key-Deprecation", deprecation),
    ]


def claim_headers(
    custom: Sequence[tuple[str, ClaimValue]], wanted: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """A header for each claim that the operator wants in one, as (claim, header). Empty without the claim.

    A text is itself, but what is beyond ASCII, a percent sign, and a blank at an end are percent-encoded UTF-8. Numbers
    and booleans are as in JSON.
    """
    said = dict(custom)
    return tuple((header, _header_value(said.get(claim))) for claim, header in wanted)


def _header_value(value: ClaimValue) -> str:
    match value:
        case None:
            return ""
        case str():
            # Blanks at the ends would be lost on the way, and "%" is what makes the rest readable.
            ends = len(value) - len(value.lstrip(" ")), len(value.rstrip(" "))
            return "".join(
                letter if letter.isascii() and letter != "%" and ends[0] <= at < ends[1] else quote(letter, safe="")
                for at, letter in enumerate(value)
            )
        case _:
            return encode(value).decode()


def raw_key_end(until: int | None, set_at: int | None) -> tuple[str, str]:
    """When a raw key will be refused (RFC 8594 §3), and when that was set (RFC 9745 §2), from epoch milliseconds.

    Both are empty if there is no end.
    """
    sunset = "" if until is None else _http_date(until // 1000)
    return sunset, "" if until is None or set_at is None else f"@{set_at // 1000}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _http_date(seconds: int) -> str:
    """An instant as HTTP writes it (RFC 9110 §5.6.7). Not by the standard library, whose module takes long to load."""
    at = gmtime(seconds)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
