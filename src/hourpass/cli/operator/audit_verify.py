"""`hourpass audit verify`: whether the audit trail is as it was written."""

import sys

import click

from hourpass.admin.instants import moment
from hourpass.cli.operator.database import database_options, look_at_database
from hourpass.cli.terminal import json_option, print_json, say
from hourpass.core.audit_verification import TrailFinding, Verified
from hourpass.server.keys.audit_chain import verify_trail


@click.command()
@database_options
@json_option
def verify(flags: dict[str, object], as_json: bool) -> None:
    """Verify that nobody changed, removed, inserted or reordered a row of the audit trail.

    It names each row that is not as it was written, and ends with 1 if there is one. Whoever has the database and the
    master key can rewrite the trail without a trace.
    """
    with look_at_database(flags) as db:
        verified = verify_trail(db.store, db.secrets, db.now)
    if as_json:
        print_json(_facts(verified))
    else:
        for line in _lines(verified):
            print(line)
        for finding in verified.findings:
            say(str(finding))
    sys.exit(1 if verified.findings else 0)


def _lines(verified: Verified) -> list[str]:
    ends = verified.ends
    lines = [f"{_rows(verified.rows)}{_span(verified)}: {_outcome(verified)}."]
    if verified.unchained:
        lines.append(f"{_rows(verified.unchained)} at the end: not chained yet.")
    lines += [f"Note: {note}." for note in verified.late]
    if ends is not None:
        lines.append(f"The chain ends at row {ends.head_n}, MAC {ends.head_mac.hex()[:16]}….")
        if ends.began_n > ends.anchor_n:
            lines.append(f"Rows up to {ends.began_n} were there when it began, on {moment(ends.began_at)}.")
    return lines


def _outcome(verified: Verified) -> str:
    if not verified.findings:
        return "nobody changed, removed, inserted or reordered one"
    return f"{len(verified.findings)} finding{'s' * (len(verified.findings) > 1)}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _span(verified: Verified) -> str:
    if verified.first is None or verified.last is None:
        return ""
    (first, first_at), (last, last_at) = verified.first, verified.last
    return f", {first} ({moment(first_at)}) to {last} ({moment(last_at)})"


def _facts(verified: Verified) -> dict[str, object]:
    ends, first, last = verified.ends, verified.first, verified.last
    return {
        "intact": not verified.findings,
        "rows": verified.rows,
        "first": first and {"number": first[0], "at": moment(first[1])},
        "last": last and {"number": last[0], "at": moment(last[1])},
        "unchained": verified.unchained,
        "chain": ends
        and {
            "began_at": moment(ends.began_at),
            "began_after": ends.began_n,
            "pruned_to": ends.anchor_n,
            "ends_at": ends.head_n,
            "mac": ends.head_mac.hex(),
        },
        "findings": [_finding(each) for each in verified.findings],
        "late": [_finding(each) for each in verified.late],
    }


def _finding(finding: TrailFinding) -> dict[str, object]:
    return {**finding._asdict(), "text": str(finding)}
