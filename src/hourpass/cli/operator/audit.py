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

from hourpass.admin.instants import moment
from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.audit_verify import verify
from hourpass.cli.operator.database import database_options, look_at_database, open_database
from hourpass.cli.operator.past import PastInstant, past_instant
from hourpass.cli.terminal import json_line, json_option, print_json, print_line, say
from hourpass.core.audit_filter import FOREVER, AuditFilter
from hourpass.core.errors import ConfigurationError
from hourpass.core.event_names import NAMES, name_now
from hourpass.secret_file import new_file
from hourpass.server.store import AuditRecord, Store
from hourpass.settings_file import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

Wanted = Callable[[int], AuditFilter]

PAGE = 500

EVERYTHING = (1 << 31) - 1
"""More events than any trail has."""


def _event(ctx: click.Context, param: click.Parameter, value: str) -> str:
    known = set(NAMES.values())
    if value and name_now(value) not in known:
        raise click.BadParameter(f"this is not an event{did_you_mean(value, known)}")
    return name_now(value)


def _filter_options(command: F) -> F:
    """The options that choose events; the command gets them as `wanted`, which needs the time."""

    @functools.wraps(command)
    def wrapper(since: PastInstant | None, until: PastInstant | None, **arguments: Any) -> Any:
        chosen = AuditFilter(**{name: arguments.pop(name) for name in ("key_id", "grant_id", "event", "actor")})

        def wanted(now: int) -> AuditFilter:
            from_, to = since(now) if since else 0, until(now) if until else FOREVER
            return chosen._replace(grant_id=chosen.grant_id.lower(), since=from_, until=to)

        return command(wanted=wanted, **arguments)

    options: Any = wrapper
    for name, metavar, text, more in reversed(_FILTERS):
        options = click.option(*name, metavar=metavar, help=text, **more)(options)
    return options  # type: ignore[no-any-return]


_FILTERS: list[tuple[tuple[str, ...], str, str, dict[str, Any]]] = [
    (("--key", "key_id"), "ID", "only this API key's events", {"default": "", "callback": id_of_ours}),
    (("--grant", "grant_id"), "ID", "only this grant's events", {"default": "", "callback": id_of_ours}),
    (("--event",), "EVENT", "only this event, such as key.revoked", {"default": "", "callback": _event}),
    (("--actor",), "ACTOR", "only by actors whose name begins like this, such as cli:", {"default": ""}),
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
    with look_at_database(flags) as db:
        chosen = wanted(db.now)
        records = db.store.newest_audit(chosen, last or (EVERYTHING if chosen.since else 100))
        seen = db.store.last_audit()
    if as_json and not follow:
        print_json([_facts(record) for record in records])
        return
    with contextlib.suppress(KeyboardInterrupt):
        _show(records, as_json=as_json)
        while follow:
            time.sleep(0.5)
            records = _after(flags, seen)
            seen = records[-1].n if records else seen
            _show([each for each in records if _takes(chosen, each)], as_json=as_json)


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
    with look_at_database(flags) as db:
        lines = _lines(db.store, wanted(db.now))
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
    say(f"{file} has {written:,} event{'s' * (written != 1)}.")


def _lines(store: Store, wanted: AuditFilter) -> Iterator[str]:
    """The trail as JSON lines. Whoever takes them may be slow, so no transaction is open meanwhile."""
    last, n = store.last_audit(), 0
    while n < last and (page := store.audit_after(n, PAGE)):
        store.commit()
        yield from (json_line(_facts(each)) for each in page if _takes(wanted, each) and each.n <= last)
        n = page[-1].n
        store.begin_reading()


audit.add_command(verify)


def _takes(wanted: AuditFilter, line: AuditRecord) -> bool:
    return wanted.takes(line.at, line.event, key_id=line.key_id, grant_id=line.grant_id, actor=line.actor)


def _show(records: list[AuditRecord], *, as_json: bool) -> None:
    for record in records:
        facts = _facts(record)
        if as_json:
            print(json_line(facts), flush=True)
            continue
        members = ((name, value) for name, value in facts.items() if name not in ("n", "at", "event"))
        detail = " ".join(f"{_quoted(name)}={_quoted(value)}" for name, value in members)
        print_line(f"{facts['at']}  {_quoted(record.event):24}", detail)


def _after(flags: dict[str, object], seen: int) -> list[AuditRecord]:
    records: list[AuditRecord] = []
    with open_database(flags, look=True) as db:
        while page := db.store.audit_after(records[-1].n if records else seen, PAGE):
            records += page
    return records


_WORD = re.compile(r"[A-Za-z0-9_.:/@+-]+")


def _quoted(value: object) -> str:
    """A member's value, in quotes unless it is one plain word. So a name cannot look like another member."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else json_line(value)


_INSTANTS = dict.fromkeys(
    ("signs_from", "used_from", "signs_until", "expires_at", "raw_until", "since", "began"), 1
) | {"issued_before": 1_000}
"""Members that are instants, and their unit in milliseconds."""


def _shown(name: str, value: object) -> object:
    return moment(value * _INSTANTS[name]) if name in _INSTANTS and isinstance(value, int) else value


def _facts(record: AuditRecord) -> dict[str, object]:
    ids = {name: getattr(record, name) for name in ("key_id", "grant_id", "actor", "address", "request_id")}
    return {
        "n": record.n,
        "at": moment(record.at),
        "event": record.event,
        **{name: value for name, value in ids.items() if value is not None},
        **{name: _shown(name, value) for name, value in record.detail.items()},
    }
