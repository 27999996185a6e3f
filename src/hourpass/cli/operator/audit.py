"""`hourpass audit`: print the audit trail, follow it, and export it."""

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from msgspec import UNSET

from hourpass.admin import operations, shapes
from hourpass.admin.instants import exact_moment
from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.administration import Desk, administration, all_pages
from hourpass.cli.operator.audit_verify import verify
from hourpass.cli.operator.database import database_options
from hourpass.cli.operator.past import PastInstant, past_instant
from hourpass.cli.terminal import json_line, json_option, print_json, print_line, say
from hourpass.core.errors import ConfigurationError
from hourpass.core.event_names import NAMES, name_now
from hourpass.secret_file import new_file
from hourpass.settings_file import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

Wanted = Callable[[int], dict[str, Any]]

PAUSE = 0.5
"""Seconds between two looks for new events."""

EVERYTHING = (1 << 31) - 1
"""More events than any trail has."""


def _event(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    known = set(NAMES.values())
    if name_now(value) not in known:
        raise click.BadParameter(f"this is not an event{did_you_mean(value, known)}")
    return name_now(value)


def _filter_options(command: F) -> F:
    """The options that choose events. The command gets them as `wanted`, which needs the time."""

    @functools.wraps(command)
    def wrapper(since: PastInstant | None, until: PastInstant | None, **arguments: Any) -> Any:
        chosen = {name: arguments.pop(name) for name in ("key_id", "grant_id", "event", "actor")}

        def wanted(now: int) -> dict[str, Any]:
            return {
                **chosen,
                "since": exact_moment(since(now)) if since else None,
                "until": exact_moment(until(now)) if until else None,
            }

        return command(wanted=wanted, **arguments)

    options: Any = wrapper
    for name, metavar, text, more in reversed(_FILTERS):
        options = click.option(*name, metavar=metavar, help=text, **more)(options)
    return options  # type: ignore[no-any-return]


_FILTERS: list[tuple[tuple[str, ...], str, str, dict[str, Any]]] = [
    (("--key", "key_id"), "ID", "only this API key's events", {"callback": id_of_ours}),
    (("--grant", "grant_id"), "ID", "only this grant's events", {"callback": id_of_ours}),
    (("--event",), "EVENT", "only this event, such as key.revoked", {"callback": _event}),
    (("--actor",), "ACTOR", "only by actors whose name begins like this, such as cli:", {}),
    (("--since",), "2h|TIME", "only from this time on", {"callback": past_instant}),
    (("--until",), "2h|TIME", "only before this time", {"callback": past_instant}),
]


@click.group(invoke_without_command=True)
@click.option("--follow", is_flag=True, help="go on with new events as they happen")
@click.option(
    "--last",
    metavar="N",
    type=click.IntRange(1, EVERYTHING),
    help="how many events to begin with: the newest 100 by default, and all of them with --since",
)
@_filter_options
@database_options
@json_option
@click.pass_context
def audit(
    ctx: click.Context, flags: dict[str, object], follow: bool, last: int | None, wanted: Wanted, as_json: bool
) -> None:
    """Show the audit trail, oldest first. Several conditions combine with AND."""
    if ctx.invoked_subcommand:
        _refuse_options(ctx)
        return
    with administration(flags) as desk, contextlib.suppress(KeyboardInterrupt):
        chosen = {**wanted(desk.now), "names": not as_json}
        lines, seen = _newest(desk, chosen, last or (EVERYTHING if chosen["since"] else 100))
        if as_json and not follow:
            print_json([line.members() for line in lines])
            return
        _show(lines, as_json=as_json)
        if not lines and not follow:
            narrowed = any(wanted(desk.now).values())
            say("No event fulfils all conditions." if narrowed else "The audit trail is empty.")
        while follow:
            time.sleep(PAUSE)
            page = desk.call(operations.LIST_AUDIT, shapes.ListAudit(**chosen, after=seen, limit=200))
            _show(page.data, as_json=as_json)
            seen = page.last


def _newest(desk: Desk, chosen: dict[str, Any], last: int) -> tuple[list[shapes.AuditLine], int]:
    """The newest lines, oldest first, and the number of the last line of the trail."""
    asked = shapes.ListAudit(**chosen, newest=True, limit=min(last, 200))
    page = desk.call(operations.LIST_AUDIT, asked)
    lines, seen = page.data, page.last
    while page.next is not None and len(lines) < last:
        asked.cursor = page.next
        page = desk.call(operations.LIST_AUDIT, asked)
        lines = page.data + lines
    return lines[-last:], seen


def _refuse_options(ctx: click.Context) -> None:
    for name in ctx.params:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"write the options after {ctx.invoked_subcommand}")


@audit.command()
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path))
@_filter_options
@database_options
def export(flags: dict[str, object], file: Path, wanted: Wanted) -> None:
    """Write the audit trail into FILE, a new file of JSON lines, or to standard output. Oldest first."""
    with administration(flags) as desk:
        lines = _lines(desk, wanted(desk.now))
        if file == Path("-"):
            for line in lines:
                print(line)
            return
        try:
            with new_file(file) as draft, draft.open("w", encoding="utf-8") as target:
                written = sum(1 for line in lines if target.write(f"{line}\n"))
        except FileExistsError as error:
            raise ConfigurationError(f"{file} exists already: an export never overwrites a file") from error
        except OSError as error:
            raise ConfigurationError(f"cannot make {file}: {error.strerror}") from error
    say(f"{file} has {written:,} line{'s' * (written != 1)}.")


def _lines(desk: Desk, chosen: dict[str, Any]) -> Iterator[str]:
    """The trail up to now as JSON lines."""
    end = desk.call(operations.LIST_AUDIT, shapes.ListAudit(newest=True, limit=1)).last
    for line in all_pages(desk, operations.LIST_AUDIT, shapes.ListAudit(**chosen)):
        if line.number > end:
            return
        yield json_line(line.members())


audit.add_command(verify)


def _show(lines: list[shapes.AuditLine], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            print(json_line(line.members()), flush=True)
            continue
        detail = " ".join(f"{_quoted(name)}={_quoted(value)}" for name, value in _with_name(line))
        print_line(f"{line.number:>6}  {line.at}  {_quoted(line.event):24}", detail)


def _with_name(line: shapes.AuditLine) -> Iterator[tuple[str, object]]:
    """The members of a line but those that all have. An admin key that acted also has the name that it has now."""
    for name, value in line.members().items():
        if name not in ("number", "at", "event"):
            yield name, value
        if name == "actor" and line.actor_name is not UNSET:
            yield "actor_name", line.actor_name


_WORD = re.compile(r"[A-Za-z0-9_.:/@+-]+")


def _quoted(value: object) -> str:
    """A member's value, in quotes unless it is one plain word. So a name cannot look like another member."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else json_line(value)
