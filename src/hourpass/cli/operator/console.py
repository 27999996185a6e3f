"""`hourpass console`: a one-time link that signs in to the console."""

import secrets
from urllib.parse import urlsplit

import click

from hourpass.admin.instants import moment
from hourpass.cli.operator.database import actor, open_database, read_settings, settings_options
from hourpass.cli.operator.health import ask
from hourpass.cli.terminal import json_option, print_json, say
from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import SECOND
from hourpass.core.sign_in import ID_BYTES, LINK_LIFETIME
from hourpass.server.console.door import make_link
from hourpass.server.settings.parsers import UNIX
from hourpass.server.settings.settings import Settings

PATH = "/console/sign-in/"

_ELSEWHERE = "Say --data and --admin-listen as the server has them, or --url with the address for your browser"


@click.command()
@click.option(
    "--url", metavar="URL", help="where your browser reaches the admin listener, if that is not its own address"
)
@settings_options("data", "database_url", "admin_listen")
@json_option
def console(flags: dict[str, object], url: str | None, as_json: bool) -> None:
    """Print a link that signs you in to the console as an owner. It works once, for a minute.

    Without --url it asks first whether a console answers at the admin listener's address.
    """
    link_id = secrets.token_urlsafe(ID_BYTES)
    base = _checked(url) if url else _asked(read_settings(flags))
    with open_database(flags) as db:
        make_link(db.store, link_id, actor(), db.now)
        until = db.now + LINK_LIFETIME
    link = f"{base}{PATH}{link_id}"
    if as_json:
        print_json({"url": link, "expires_at": moment(until)})
    else:
        print(link)
        say(f"Open it in your browser within {LINK_LIFETIME // SECOND} seconds. It works once.")


def _checked(url: str) -> str:
    """The URL without a slash at its end. Raises BadParameter unless a browser can add a path to it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or "@" in url:
        raise click.BadParameter("it begins with http:// or https:// and a host, and has no query", param_hint="--url")
    return url.rstrip("/")


def _asked(settings: Settings) -> str:
    """The URL of the admin listener on this machine. It is asked whether the console is there.

    Raises:
        ConfigurationError: if it is not. A link that leads nowhere would be over before anybody finds out why.
    """
    base, where = url_for_browsers(settings), settings.admin_listen
    try:
        status, _ = ask(where, PATH.rstrip("/"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{error.detail}. {_ELSEWHERE}") from error
    if status != 200:
        raise ConfigurationError(f"what answers at {where} has no console: it says {status}. {_ELSEWHERE}")
    return base


def url_for_browsers(settings: Settings) -> str:
    """The URL of the admin listener on this machine, as a browser asks it.

    Raises:
        ConfigurationError: if there is no console, or no browser can reach it without help.
    """
    listen = settings.admin_listen
    if listen == "off" or not settings.console:
        raise ConfigurationError("this server has no console: see the settings admin_listen and console")
    if listen.startswith(UNIX):
        raise ConfigurationError(
            f"the console is on {listen}, where no browser reaches it: forward a port to it, "
            f"such as ssh -L 3601:{listen.removeprefix(UNIX)} HOST, and say --url http://localhost:3601"
        )
    host, _, port = listen.rpartition(":")
    return f"http://{'localhost' if host in {'0.0.0.0', '[::]'} else host}:{port}"  # noqa: S104 - only compared
