"""`hourpass audit`."""

import contextlib
import json
import time

import click

from hourpass.cli.operator import database, database_options, json_option
from hourpass.cli.terminal import moment, print_json, print_line
from hourpass.server.store import AuditRecord

PAGE = 500


@click.command()
@click.option("--follow", is_flag=True, help="go on with what happens from now on")
@click.option(
    "--last", metavar="N", type=click.IntRange(1), default=100, show_default=True, help="how many to begin with"
)
@database_options
@json_option
def audit(flags: dict[str, object], follow: bool, last: int, as_json: bool) -> None:
    """Show the audit trail, oldest first."""
    with database(flags) as db:
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
                print(json.dumps(facts, ensure_ascii=False), flush=True)
                continue
            detail = " ".join(f"{name}={value}" for name, value in facts.items() if name not in ("n", "at", "event"))
            print_line(f"{facts['at']}  {record.event:24}", detail)
        if not follow:
            return
        time.sleep(0.5)


def _after(flags: dict[str, object], seen: int) -> list[AuditRecord]:
    records: list[AuditRecord] = []
    with database(flags) as db:
        while page := db.store.audit_after(records[-1].n if records else seen, PAGE):
            records += page
    return records


def _facts(record: AuditRecord) -> dict[str, object]:
    ids = {"key_id": record.key_id, "grant_id": record.grant_id}
    return {
        "n": record.n,
        "at": moment(record.at),
        "event": record.event,
        **{name: value for name, value in ids.items() if value is not None},
        **record.detail,
    }
