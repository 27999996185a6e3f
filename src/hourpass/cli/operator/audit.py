"""`hourpass audit`: print the audit trail, and follow it."""

import contextlib
import re
import time

import click

from hourpass.cli.no_secrets import id_of_ours
from hourpass.cli.operator.database import database_options, look_at_database, open_database
from hourpass.cli.operator.past import PastInstant, past_instant
from hourpass.cli.terminal import json_line, json_option, moment, plain, print_json, print_line
from hourpass.core.audit_filter import FOREVER, AuditFilter
from hourpass.core.event_names import NAMES, name_now
from hourpass.server.store import AuditRecord
from hourpass.settings_file import did_you_mean

PAGE = 500

EVERYTHING = (1 << 31) - 1
"""More events than any trail has."""


def _event(ctx: click.Context, param: click.Parameter, value: str) -> str:
    known = set(NAMES.values())
    if value and name_now(value) not in known:
        raise click.BadParameter(f"this is not an event{did_you_mean(value, known)}")
    return name_now(value)


@click.command()
@click.option("--follow", is_flag=True, help="go on with new events as they happen")
@click.option(
    "--last",
    metavar="N",
    type=click.IntRange(1, EVERYTHING),
    help="how many events to begin with: the newest 100 by default, and all of them with --since",
)
@click.option("--key", "key_id", metavar="ID", default="", callback=id_of_ours, help="only this API key's events")
@click.option("--grant", "grant_id", metavar="ID", default="", callback=id_of_ours, help="only this grant's events")
@click.option("--event", metavar="EVENT", default="", callback=_event, help="only this event, such as key.revoked")
@click.option("--actor", metavar="ACTOR", default="", help="only by actors whose name begins like this, such as cli:")
@click.option("--since", metavar="2h|TIME", callback=past_instant, help="only from this time on")
@click.option("--until", metavar="2h|TIME", callback=past_instant, help="only before this time")
@database_options
@json_option
def audit(
    flags: dict[str, object],
    follow: bool,
    last: int | None,
    key_id: str,
    grant_id: str,
    event: str,
    actor: str,
    since: PastInstant | None,
    until: PastInstant | None,
    as_json: bool,
) -> None:
    """Show the audit trail, oldest first. Several conditions combine with AND."""
    with look_at_database(flags) as db:
        from_, to = since(db.now) if since else 0, until(db.now) if until else FOREVER
        wanted = AuditFilter(key_id, grant_id.lower(), event, from_, to, actor)
        records = db.store.newest_audit(wanted, last or (EVERYTHING if since else 100))
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
            _show([each for each in records if _takes(wanted, each)], as_json=as_json)


def _takes(wanted: AuditFilter, line: AuditRecord) -> bool:
    return wanted.takes(line.at, line.event, key_id=line.key_id, grant_id=line.grant_id, actor=line.actor)


def _show(records: list[AuditRecord], *, as_json: bool) -> None:
    for record in records:
        facts = _facts(record)
        if as_json:
            print(json_line(facts), flush=True)
            continue
        members = ((name, value) for name, value in facts.items() if name not in ("n", "at", "event"))
        detail = " ".join(f"{plain(name)}={_quoted(value)}" for name, value in members)
        print_line(f"{facts['at']}  {plain(record.event):24}", detail)


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


_INSTANTS = {"signs_from": 1, "used_from": 1, "issued_before": 1_000}
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
