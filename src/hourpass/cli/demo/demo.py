"""`hourpass demo`: everything on one origin, to try."""

import asyncio
import errno
import json
import logging
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hourpass.cli.demo.api import SCOPE, DemoApi
from hourpass.cli.operator.database import open_database, settings_options
from hourpass.cli.terminal import bold, say
from hourpass.core.actor import Actor
from hourpass.core.errors import HourpassError
from hourpass.core.token_request import TokenRequest
from hourpass.server.endpoints.app import App
from hourpass.server.issuing.minting import TokenPair
from hourpass.server.issuing.revoke_introspect import INTROSPECT_SCOPE
from hourpass.server.keys.api_keys import NewKey, create_key
from hourpass.server.run.open import default_data
from hourpass.server.serve import serve as run
from hourpass.server.settings.loading import load
from hourpass.server.settings.parsers import UNIX
from hourpass.server.settings.settings import Settings
from hourpass.server.sockets import bind
from hourpass.server.telemetry.line_writer import LineWriter

log = logging.getLogger("hourpass")


@click.command()
@settings_options()
@click.option("--json", "as_json", is_flag=True, help='print {"url": …, "api_key": …, "key_id": …} once it is ready')
def demo(flags: dict[str, object], as_json: bool) -> None:
    """Start a server with a small protected API (GET /videos) and a first key, and print commands to try.

    Without --data everything is in a temporary folder that is removed at the end.
    """
    with _data(flags) as kept:
        settings, flags = _settle(kept)
        new = _first_key(flags)
        demonstration = _Demonstration(new, settings, as_json=as_json)
        run(settings, environ=os.environ, wrap=demonstration.wrap, ready=demonstration.ready)
        demonstration.out.flush()
    if not as_json:
        say("\nStopped." if sys.stderr.isatty() else "Stopped.")


@contextmanager
def _data(flags: dict[str, object]) -> Iterator[dict[str, object]]:
    kept = ("data", "database_url")
    if any(name in flags or f"HOURPASS_{name.upper()}" in os.environ for name in kept):
        yield flags
        return
    with tempfile.TemporaryDirectory(prefix="hourpass-demo-") as folder:
        yield {**flags, "data": folder}


def _settle(flags: dict[str, object]) -> tuple[Settings, dict[str, object]]:
    """The settings, with the demo's own defaults for those that were not set."""
    settings, origins = load(flags, os.environ, default_data(os.environ))
    if origins["admin_listen"].source == "default":
        flags = {**flags, "admin_listen": "127.0.0.1:0"}  # beside a server that has the usual port
    if origins["port"].source == "default" and not _is_free(settings):
        say(f"Port {settings.port} is taken: taking a free one.")
        flags = {**flags, "port": 0}
    settings, _ = load(flags, os.environ, default_data(os.environ))
    return settings, flags


def _is_free(settings: Settings) -> bool:
    try:
        bind(settings.host, settings.port).close()
    except OSError as error:
        # The server reports any other error itself.
        return error.errno != errno.EADDRINUSE
    return True


def _first_key(flags: dict[str, object]) -> NewKey:
    with open_database(flags, create=True) as db:
        return create_key(
            db.store,
            db.secrets.pepper,
            name="demo",
            now=db.now,
            random=os.urandom,
            actor=Actor("demo"),
            scope=f"{SCOPE} {INTROSPECT_SCOPE}",
            prefix=db.settings.key_prefix,
        )


class _Demonstration:
    """What the demo prints once the server listens."""

    def __init__(self, new: NewKey, settings: Settings, *, as_json: bool) -> None:
        self._new = new
        self._quiet = sys.stderr.isatty() and settings.log_format == "auto"
        self._as_json = as_json
        self.out = LineWriter(sys.stdout)

    def wrap(self, app: App) -> DemoApi:
        self._app = app
        if self._quiet:
            # The person reads the invitation. Beside it they need only warnings and errors.
            log.setLevel(logging.WARNING)
        return DemoApi(app)

    def ready(self, settings: Settings) -> None:
        url = settings.public_url()
        if self._as_json:
            facts = {"url": url, "api_key": self._new.api_key, "key_id": self._new.key.key_id}
            self.out.write(json.dumps(facts))
        else:
            self._invited = asyncio.ensure_future(self._invite(url, settings))

    async def _invite(self, url: str, settings: Settings) -> None:
        try:
            pair = await self._app.issuer.exchange(self._new.api_key, TokenRequest(), None, self._app.clock())
        except HourpassError as error:
            log.error("no first token", extra={"detail": error.detail or error.code})  # noqa: TRY400 - it is not a bug
        else:
            self.out.write(_invitation(url, self._new.api_key, pair, settings))


def _invitation(url: str, api_key: str, pair: TokenPair, settings: Settings) -> str:
    """The README's three requests and a way to the console, ready to paste.

    Each command works alone, and the lines between them are comments.
    """
    retry_window = settings.retry_window
    again = f"within {retry_window} s it is a retry, later a theft" if retry_window else "it is a theft"
    return f"""\
{bold(f"# hourpass demo on {url}")}

{bold("# Exchange the API key for a token")}
curl {url}/auth/api-key -d '{{"apiKey":"{api_key}"}}'

{bold("# Call the API with a token")}
curl {url}/videos -H 'Authorization: Bearer {pair.access_token.decode()}'

{bold("# Refresh")}
curl {url}/auth/refresh -d '{{"refreshToken":"{pair.refresh_token.decode()}"}}'

# Refresh again with the same token: {again}.
{_way_to_console(settings)}# Ctrl-C stops it."""


def _way_to_console(settings: Settings) -> str:
    """The command that makes a link to the console. Nothing if no browser can come there."""
    listen = settings.admin_listen
    if not settings.console or listen == "off" or listen.startswith(UNIX):
        return ""
    program, found = Path(sys.argv[0]).absolute(), shutil.which("hourpass")
    name = "hourpass" if found and Path(found).absolute() == program else str(program)
    data = str(Path(settings.data).absolute())
    command = shlex.join([name, "console", "--data", data, "--admin-listen", listen])
    return f"\n{bold('# Look at it in a browser: this prints a link that signs you in')}\n{command}\n\n"
