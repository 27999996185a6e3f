"""`hourpass audit`: print the audit trail, and follow it."""

import contextlib
import re
import time

import click

from hourpass.cli.operator.database import database_options, look_at_database, open_database
from hourpass.cli.terminal import json_line, json_option, moment, plain, print_json, print_line
from hourpass.server.store import AuditRecord

PAGE = 500


@click.command()
@click.option("--follow", is_flag=True, help="go on with new events as they happen")
@click.option(
    "--last", metavar="N", type=click.IntRange(1), default=100, show_default=True, help="how many events to begin with"
)
@database_options
@json_option
def audit(flags: dict[str, object], follow: bool, last: int, as_json: bool) -> None:
    """Show the audit trail, oldest first."""
    with look_at_database(flags) as db:
        seen = max(0, db.store.last_audit() - last)
    if as_json and not follow:
        print_json([_facts(record) for record in _after(flags, seen)])
        return
    with contextlib.suppress(KeyboardInterrupt):
        _show(flags, seen, follow=follow, as_json=as_json)


def _show(flags: dict[str, object], seen: int, *, follow: bool, as_json: bool) -> None:
    while True:
        for record in _after(flags, seen):
            facts = _facts(record)
            seen = record.n
            if as_json:
                print(json_line(facts), flush=True)
                continue
            members = ((name, value) for name, value in facts.items() if name not in ("n", "at", "event"))
            detail = " ".join(f"{plain(name)}={_quoted(value)}" for name, value in members)
            print_line(f"{facts['at']}  {plain(record.event):24}", detail)
        if not follow:
            return
        time.sleep(0.5)


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


_INSTANTS = {"signs_from": 1, "issued_before": 1_000}
"""Members that are instants, and their unit in milliseconds."""


def _shown(name: str, value: object) -> object:
    return moment(value * _INSTANTS[name]) if name in _INSTANTS and isinstance(value, int) else value


def _facts(record: AuditRecord) -> dict[str, object]:
    ids = {"key_id": record.key_id, "grant_id": record.grant_id}
    return {
        "n": record.n,
        "at": moment(record.at),
        "event": record.event,
        **{name: value for name, value in ids.items() if value is not None},
        **{name: _shown(name, value) for name, value in record.detail.items()},
    }
