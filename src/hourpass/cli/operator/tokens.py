"""`hourpass tokens`: explain a token in words, and revoke it."""

import sys

import click
import msgspec
from msgspec import UNSET

from hourpass.admin import operations, shapes
from hourpass.admin.instants import exact_moment
from hourpass.cli.no_secrets import from_standard_input, id_of_ours
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import settings_options
from hourpass.cli.operator.past import PastInstant, past_instant
from hourpass.cli.terminal import confirm, json_option, print_facts, print_json, say

token_options = settings_options("data", "database_url", "issuer", "audience")

KINDS = {"access_token": "access token", "refresh_token": "refresh token", "api_key": "API key", "unknown": "unknown"}
"""A token's kind -> the same in words."""

token_argument = click.argument("token", metavar="-", callback=id_of_ours)


@click.group()
def tokens() -> None:
    """Explain and revoke tokens. They come on standard input: `hourpass tokens inspect - < FILE`."""


@tokens.command()
@token_argument
@token_options
@json_option
def inspect(flags: dict[str, object], token: str, as_json: bool) -> None:
    """Show a token's kind, subject and expiry, and whether it is valid. Exits with 1 if it is not valid."""
    asked = _read(token)
    with administration(flags) as desk:
        found = desk.call(operations.INSPECT_TOKEN, asked)
    facts = msgspec.to_builtins(found)
    if as_json:
        print_json(facts)
    else:
        more = {name: fact for name, fact in facts.items() if name not in {"kind", "valid", "reason", "words"}}
        print_facts({"kind": KINDS[found.kind], "valid": found.words, **more}.items())
    if found.kind == "api_key":
        say("`hourpass keys show -` reads an API key from standard input, and says whose it is and its state")
    sys.exit(0 if found.valid else 1)


@tokens.command()
@click.argument("token", metavar="[-]", required=False, callback=id_of_ours)
@click.option(
    "--issued-before",
    metavar="2h|TIME|now",
    callback=past_instant,
    help="revoke every access token of every key that was issued before this time",
)
@click.option("--yes", is_flag=True, help="do not ask; needed if nobody can answer")
@token_options
@json_option
def revoke(
    flags: dict[str, object], token: str | None, issued_before: PastInstant | None, yes: bool, as_json: bool
) -> None:
    """Revoke an access token, or the whole grant of a refresh token.

    --issued-before is the emergency brake: it refuses every access token of every key from before that time. Grants go
    on, so clients refresh and get new tokens.
    """
    if (token is None) == (issued_before is None):
        raise click.UsageError("give either - to read a token from standard input, or --issued-before")
    if issued_before is not None:
        _revoke_issued_before(flags, issued_before, yes=yes, as_json=as_json)
        return
    asked = _read(token or "-")
    with administration(flags, changes=True) as desk:
        done = desk.call(operations.REVOKE_TOKEN, asked).revoked
    say(desk.name)
    if as_json:
        print_json({"revoked": done})
    else:
        say({"access": "The access token is revoked.", "grant": "The grant and its access tokens are revoked."}[done])


def _revoke_issued_before(flags: dict[str, object], issued_before: PastInstant, *, yes: bool, as_json: bool) -> None:
    if not yes:
        confirm("Every access token from before that time will be refused, so all clients refresh. Revoke them?")
    with administration(flags, changes=True) as desk:
        # The server knows the time: this machine's clock may be ahead.
        at = issued_before(desk.now)
        asked = shapes.RevokeIssuedBefore(issued_before=UNSET if at == desk.now else exact_moment(at))
        before = desk.call(operations.REVOKE_ISSUED_BEFORE, asked).issued_before
    say(desk.name)
    if as_json:
        print_json({"issued_before": before})
    else:
        say(f"Every access token from before {before} is revoked.")


def _read(token: str) -> shapes.TokenGiven:
    return shapes.TokenGiven(token=from_standard_input() if token == "-" else token)
