"""`hourpass refresh`: the one line of the cron job. It keeps the cache fresh and never prints a token."""

import sys
import time

import click

from hourpass.cli.client.client import NO_TOKEN, STILL_VALID, Client, complain, exit_code
from hourpass.cli.client.options import ClientCommand, client_options
from hourpass.cli.terminal import say
from hourpass.client.credential import Credential
from hourpass.clocks import age_clock, draw
from hourpass.core.duration import span
from hourpass.core.errors import ConfigurationError, HourpassError


@click.command(cls=ClientCommand)
@click.option("--if-due", is_flag=True, help="do nothing if the cached token is still fresh")
@click.option(
    "--splay",
    type=click.FloatRange(0, 3600),
    default=0,
    metavar="SECONDS",
    help="first wait for a random time up to this, so that many machines do not ask at once",
)
@click.option("--quiet", is_flag=True, help="print nothing if all is well, for cron")
@client_options(agent=False)
def refresh(client: Client, if_due: bool, splay: float, quiet: bool) -> None:
    """Refresh the cached token. If several processes ask at the same time, it is refreshed once.

    Exit codes: 0 fresh, 10 still valid but the refresh failed, 20 no valid token, 30 login required, 40 lock time-out,
    2 usage. 30 comes at once, even while the old token is still valid.
    """
    before = client.cached()
    if if_due and _is_fresh(before):
        _tell(before, quiet=quiet, words="not due")
        return
    time.sleep(splay * draw())
    source = client.own_source()
    try:
        # Without --if-due the cached token is rejected. A newer one from another process is accepted.
        after = source.refresh(rejected=None if if_due or before is None else before.number)
    except HourpassError as error:
        complain(error)
        sys.exit(exit_code(error, still_valid=_is_valid(client)))
    if source.counts["unsaved"]:
        sys.exit(STILL_VALID if _is_valid(client) else NO_TOKEN)
    is_healed = source.counts["refused"] and source.counts["exchanged"]
    words = "the refresh token was refused, so the API key was exchanged" if is_healed else "refreshed"
    # The grant may have been revoked for theft, so even cron is told.
    _tell(after, quiet=quiet and not is_healed, words=words)


def _is_fresh(credential: Credential | None) -> bool:
    return credential is not None and credential.freshness(age_clock()) == "fresh"


def _is_valid(client: Client) -> bool:
    try:
        credential = client.cached()
    except ConfigurationError:
        return False
    return credential is not None and credential.is_usable(age_clock())


def _tell(credential: Credential | None, *, quiet: bool, words: str) -> None:
    if credential is not None and not quiet:
        say(f"hourpass: {words}; the token is valid for {span(credential.expires_at - age_clock())} more")
