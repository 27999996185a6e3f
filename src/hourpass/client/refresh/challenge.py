"""Challenges and Retry-After: what a response says about the reason of a refusal, and when to try again.

Pure reading of header values. They are not trusted: a value that cannot be read is ignored.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

# RFC 9110 §11.2: a scheme, then parameters or a token68. Commas separate both challenges and parameters.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=[ \t]*(?:,|$))', re.ASCII)
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,|$))", re.ASCII)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))", re.ASCII)
_BETWEEN = re.compile(r"[ \t,]*", re.ASCII)


class Challenge(NamedTuple):
    """One challenge of a WWW-Authenticate header. Scheme and parameter names are in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Read every WWW-Authenticate value of a response (RFC 9110 §11.6.1), up to the first part that breaks its syntax.

    If a parameter occurs twice, the first one is used.
    """
    challenges: list[Challenge] = []
    for value in values:
        at = _BETWEEN.match(value, 0).end()  # type: ignore[union-attr] # it matches nothing at least
        within: Challenge | None = None
        while at < len(value):
            if within is not None and (parameter := _PARAMETER.match(value, at)):
                name, quoted, plain = parameter.groups()
                text = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                within.parameters.setdefault(name.lower(), text)
                at = parameter.end()
            elif scheme := _SCHEME.match(value, at):
                within = Challenge(scheme[1].lower(), {})
                challenges.append(within)
                at = scheme.end()
                if not _PARAMETER.match(value, at) and (token68 := _TOKEN68.match(value, at)):
                    at = token68.end()
            else:
                break
            at = _BETWEEN.match(value, at).end()  # type: ignore[union-attr] # as above
    return challenges


def rejects_token(values: Iterable[str]) -> bool:
    """Whether the challenges of a 401 reject the bearer token, and do not name another error (RFC 6750 §3.1).

    True if there is no challenge at all: many APIs send none, although RFC 9110 §15.5.2 asks for one.
    """
    present = [value for value in values if value.strip()]
    if not present:
        return True
    bearers = [challenge for challenge in parse_challenges(present) if challenge.scheme == "bearer"]
    return any(bearer.parameters.get("error", "invalid_token") == "invalid_token" for bearer in bearers)


def retry_after_of(value: str | None, wall: int) -> int | None:
    """Milliseconds to wait by a Retry-After (RFC 9110 §10.2.3). None if it is missing or cannot be read.

    `wall` is now in epoch milliseconds, because the header may be a date.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return int(value) * 1000
    # Imported here, because it is slow to load and rarely needed.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0, int(date.timestamp() * 1000) - wall)
