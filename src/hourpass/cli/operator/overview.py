"""`hourpass overview`: what happened lately, what there is, and what needs attention."""

import click
import msgspec

from hourpass.admin import operations, shapes
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import database_options
from hourpass.cli.terminal import json_option, print_facts, print_json, print_line
from hourpass.core.stats import MAX_HOURS


@click.command()
@click.option(
    "--hours",
    type=click.IntRange(1, MAX_HOURS),
    default=24,
    show_default=True,
    metavar="N",
    help="how far to look back",
)
@database_options
@json_option
def overview(flags: dict[str, object], hours: int, as_json: bool) -> None:
    """Show what happened in the last hours on all nodes, how many keys and grants there are, and what needs attention.

    The numbers are those of the console. Counts are up to a minute late.
    """
    with administration(flags) as desk:
        found = desk.call(operations.OVERVIEW, shapes.GetOverview(hours=hours))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    print_facts(_facts(found).items())
    print()
    print("Nothing needs attention." if not found.attention else "Needs attention:")
    for item in found.attention:
        print_line(f"  {item.severity:8}", item.sentence)


def _facts(found: shapes.Overview) -> dict[str, object]:
    totals = {name.replace("_", " "): f"{count:,}" for name, count in msgspec.to_builtins(found.totals).items()}
    keys = found.keys
    states = f"{keys.active:,} active, {keys.disabled:,} disabled, {keys.expired:,} expired, {keys.revoked:,} revoked"
    return {
        "time": f"the last {'hour' if found.hours == 1 else f'{found.hours} hours'}. Counts are up to a minute late",
        **totals,
        "keys": states,
        "raw keys sent": f"{found.raw.day:,} in a day, {found.raw.week:,} in a week",
        "raw_until set": f"{keys.raw_until_set:,} keys",
        "live grants": f"{found.live_grants.count:,}, counted at {found.live_grants.counted_at}",
    }
