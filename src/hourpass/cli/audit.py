"""`hourpass audit`."""

import time

import click

from hourpass.cli.operator import database, database_options, json_option
from hourpass.cli.terminal import moment, print_json
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
    while True:
        for record in _after(flags, seen):
            facts = _facts(record)
            detail = " ".join(f"{name}={value}" for name, value in facts.items() if name not in ("n", "at", "event"))
            print(f"{facts['at']}  {record.event:24}  {detail}", flush=True)
            seen = record.n
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
