"""`hourpass audit verify`: whether the audit trail is as it was written."""

import sys

import click
import msgspec

from hourpass.admin import operations, shapes
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import database_options
from hourpass.cli.terminal import json_option, plain, print_json, say

WHAT_TO_DO = "What to do: the runbook docs/runbooks/audit-trail.md"


@click.command()
@database_options
@json_option
def verify(flags: dict[str, object], as_json: bool) -> None:
    """Verify that nobody changed, removed, inserted or reordered a line of the audit trail.

    It names each line that is not as it was written, and ends with 1 if there is one. Run it on a schedule. Somebody
    who has the database and the master key can rewrite the trail without a trace.
    """
    with administration(flags) as desk:
        verified = desk.call(operations.VERIFY_AUDIT, shapes.Nothing())
    if as_json:
        print_json(msgspec.to_builtins(verified))
    else:
        for line in _lines(verified):
            print(plain(line))
        for finding in verified.findings:
            say(finding.text)
        if not verified.intact:
            say(WHAT_TO_DO)
    sys.exit(0 if verified.intact else 1)


def _lines(verified: shapes.VerifiedAudit) -> list[str]:
    chain = verified.chain
    lines = [f"{_count(verified.lines)}{_span(verified)}: {_outcome(verified)}."]
    if verified.unchained:
        lines.append(f"{_count(verified.unchained)} at the end: not chained yet.")
    lines += [f"Note: {note.text}." for note in verified.late]
    if chain is not None:
        lines.append(f"The chain ends at line {chain.ends_at}, MAC {chain.mac}.")
        if chain.began_after > chain.pruned_to:
            lines.append(f"Lines up to {chain.began_after} were there when it began, on {chain.began_at}.")
    return lines


def _outcome(verified: shapes.VerifiedAudit) -> str:
    if verified.intact:
        return "nobody changed, removed, inserted or reordered one"
    return f"{len(verified.findings)} finding{'s' * (len(verified.findings) > 1)}"


def _count(lines: int) -> str:
    return "1 line" if lines == 1 else f"{lines:,} lines"


def _span(verified: shapes.VerifiedAudit) -> str:
    first, last = verified.first, verified.last
    if first is None or last is None:
        return ""
    return f", {first.number} ({first.at}) to {last.number} ({last.at})"
