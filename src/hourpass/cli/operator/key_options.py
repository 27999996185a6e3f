"""The options that say what an API key is like, for the commands that make one or change one."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
from msgspec import UNSET

from hourpass.admin.instants import exact_moment, read_moment
from hourpass.cli.terminal import say
from hourpass.core.address import normal_network
from hourpass.core.admin_access import ROLES, prefix_note
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, MAX_RETRY_WINDOW, SECOND
from hourpass.server.settings.parsers import seconds

C = TypeVar("C", bound=Callable[..., Any])

Convert = Callable[[click.Context, click.Parameter, Any], Any]
At = Callable[[int], int | None]
"""What an option means at an instant (epoch milliseconds)."""

LONGEST = 3660 * 86400
"""Seconds: a key that lives longer than ten years may as well live for ever."""


def milliseconds_of(low: int, high: int, *, word: str = "") -> Convert:
    """A callback for durations, which become milliseconds. The word, if there is one, becomes None."""
    parse = seconds(low, high)

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
        if value is None:
            return UNSET
        if value == word:
            return None
        try:
            return parse(value) * SECOND
        except ValueError as error:
            raise click.BadParameter(str(error) + (f", or {word}" if word else "")) from None

    return convert


def seconds_of(low: int, high: int) -> Convert:
    """A callback for durations, which become seconds, and None if the option was not given."""
    parse = seconds(low, high)

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return convert


def instant(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
    """A callback for an instant: a duration from now, a date, a date with a time, or never."""
    if value is None:
        return UNSET
    if value == "never":
        return lambda now: None
    try:
        # A number without a unit is a date, such as 20270131.
        milliseconds = seconds(1, LONGEST)("" if value.isdecimal() else value) * SECOND
        return lambda now: now + milliseconds
    except ValueError:
        pass
    try:
        fixed = read_moment(value)
    except ValueError:
        raise click.BadParameter(
            "give a duration such as 30d, a date such as 2027-01-31 (from 1970 to 9998), or never"
        ) from None
    return lambda now: fixed


def _networks(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> object:
    if not value:
        return UNSET
    try:
        return () if value == ("any",) else tuple(dict.fromkeys(map(normal_network, value)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """A callback for options of the form NAME=VALUE."""
    found = {}
    for each in value:
        name, separator, text = each.partition("=")
        if not separator:
            raise click.BadParameter("write NAME=VALUE")
        found[name] = text
    return found


def _json_pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, object]:
    found = {}
    for name, text in pairs(ctx, param, value).items():
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError):
            raise click.BadParameter(f"the value of {name} must be JSON, such as 5 or true") from None
        if isinstance(found[name], list | dict):
            raise click.BadParameter(f"the value of {name} must be a text, number or boolean")
    return found


def _moment(at: int | None) -> str | None:
    return None if at is None else exact_moment(at)


def _seconds(milliseconds: object) -> object:
    return milliseconds // SECOND if isinstance(milliseconds, int) else milliseconds


def tell_of_prefix(given: object) -> None:
    """Say it if the prefix that a delegated admin key was given fits more subjects than it seems to."""
    words = prefix_note(given) if isinstance(given, str) else None
    if words:
        say(words)


_OPTIONS = [
    click.option("--scope", metavar='"A B"', help="scopes that its tokens may have, separated by spaces"),
    click.option(
        "--audience",
        "audiences",
        multiple=True,
        help="the tokens' aud, if it is not the server's; may be repeated, and the first is the default",
    ),
    click.option(
        "--claim", "claims", multiple=True, callback=pairs, metavar="NAME=TEXT", help="a claim of its access tokens"
    ),
    click.option(
        "--claim-json",
        "json_claims",
        multiple=True,
        callback=_json_pairs,
        metavar="NAME=JSON",
        help="the same, for a number or a boolean",
    ),
    click.option(
        "--tag", "tags", multiple=True, callback=pairs, metavar="NAME=TEXT", help="for you alone; no token has it"
    ),
    click.option(
        "--allow-ip",
        "allowed_ips",
        metavar="CIDR",
        multiple=True,
        callback=_networks,
        help="a network or address that may use the key; anywhere by default; may be repeated",
    ),
    click.option(
        "--expires-in",
        metavar="90d",
        callback=milliseconds_of(1, LONGEST, word="never"),
        help="when the key expires; never by default",
    ),
    click.option(
        "--raw-until",
        metavar="30d|DATE",
        callback=instant,
        help="when protected endpoints stop accepting the key itself; never, by default",
    ),
    click.option(
        "--retry-window",
        metavar="60s",
        callback=milliseconds_of(0, MAX_RETRY_WINDOW // SECOND, word="default"),
        help="its refresh tokens' retry window; the server's by default; 0 is strict single use",
    ),
    click.option(
        "--access-token-lifetime",
        metavar="10m",
        callback=milliseconds_of(1, MAX_ACCESS_TOKEN_LIFETIME // SECOND, word="default"),
        help="shorter than the server's",
    ),
    click.option(
        "--self-rotation/--no-self-rotation", default=None, help="whether its holder may rotate it; no, by default"
    ),
    click.option(
        "--admin",
        type=click.Choice(ROLES),
        help="an admin key of this role, for the admin API and the console alone. "
        "A key is an admin key from the beginning, or never",
    ),
    click.option(
        "--subject-prefix",
        metavar="PREFIX",
        help="of a delegated admin key: it sees and makes only keys whose subject begins so",
    ),
    click.option(
        "--max-scope", metavar='"A B"', help="of a delegated admin key: the scopes that its keys may have at most"
    ),
]


def member_options(command: C) -> C:
    """Add the options. The command gets what was given as `members`, a function of the current time.

    It returns members of `shapes.KeyMembers`, by their names.
    """

    @wraps(command)
    def with_members(
        *arguments: Any,
        scope: str | None,
        audiences: tuple[str, ...],
        claims: dict[str, str],
        json_claims: dict[str, object],
        tags: dict[str, str],
        allowed_ips: object,
        expires_in: Any,
        raw_until: Any,
        retry_window: object,
        access_token_lifetime: object,
        self_rotation: bool | None,
        admin: str | None,
        subject_prefix: str | None,
        max_scope: str | None,
        **others: Any,
    ) -> Any:
        def members(now: int) -> dict[str, Any]:
            given = {
                "scope": UNSET if scope is None else scope,
                "audiences": ([] if audiences in {("",), ("default",)} else list(audiences)) if audiences else UNSET,
                "claims": claims | json_claims or UNSET,
                "tags": tags or UNSET,
                "allowed_ips": list(allowed_ips) if isinstance(allowed_ips, tuple) else allowed_ips,
                "expires_at": expires_in if not isinstance(expires_in, int) else _moment(now + expires_in),
                "raw_until": UNSET if raw_until is UNSET else _moment(raw_until(now)),
                "retry_window": _seconds(retry_window),
                "access_token_lifetime": _seconds(access_token_lifetime),
                "self_rotation": UNSET if self_rotation is None else self_rotation,
                "admin": admin or UNSET,
                "subject_prefix": UNSET if subject_prefix is None else subject_prefix or None,
                "max_scope": UNSET if max_scope is None else max_scope,
            }
            return {name: value for name, value in given.items() if value is not UNSET}

        return command(*arguments, members=members, **others)

    for option in reversed(_OPTIONS):
        with_members = option(with_members)
    return with_members  # type: ignore[return-value]
