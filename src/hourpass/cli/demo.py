"""`hourpass demo`: everything on one origin, to try."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hourpass.cli.demo_api import DemoApi
from hourpass.cli.operator import database, read_settings, settings_options
from hourpass.cli.terminal import say
from hourpass.server.app import App
from hourpass.server.config import Settings
from hourpass.server.keys import create_key
from hourpass.server.serve import serve as run

SCOPE = "videos.read introspect"


@click.command()
@settings_options()
@click.option("--json", "as_json", is_flag=True, help='print {"url": …, "api_key": …, "key_id": …} once it is ready')
def demo(flags: dict[str, object], as_json: bool) -> None:
    """Start a server with a small protected API (GET /videos) and a first key, and say what to try.

    Without --data everything lies in a temporary folder that is removed at the end.
    """
    with _data(flags) as settled:
        settled.setdefault("admin_listen", "off")
        with database(_database_flags(settled)) as db:
            new = create_key(
                db.store,
                db.secrets.pepper,
                name="demo",
                now=db.now,
                random=os.urandom,
                actor="demo",
                scope=SCOPE,
            )

        def ready(settings: Settings) -> None:
            url = settings.public_url()
            if as_json:
                print(json.dumps({"url": url, "api_key": new.api_key, "key_id": new.key.key_id}), flush=True)
            else:
                print(_invitation(url, new.api_key), flush=True)

        run(read_settings(settled), environ=os.environ, wrap=_around, ready=ready)
    if not as_json:
        say("Stopped.")


def _around(app: App) -> DemoApi:
    return DemoApi(app)


@contextmanager
def _data(flags: dict[str, object]) -> Iterator[dict[str, object]]:
    if "data" in flags or "HOURPASS_DATA" in os.environ:
        yield flags
        return
    with tempfile.TemporaryDirectory(prefix="hourpass-demo-") as folder:
        yield {**flags, "data": folder}


def _database_flags(flags: dict[str, object]) -> dict[str, object]:
    return {name: flags[name] for name in ("data", "database_url", "config", "master_key") if name in flags}


def _invitation(url: str, api_key: str) -> str:
    return f"""
hourpass demo on {url}

1. Exchange the API key for a token:

curl --request POST \\
     --url {url}/auth/api-key \\
     --header 'Accept: application/json' \\
     --header 'Content-Type: application/json' \\
     --data '{{"apiKey": "{api_key}"}}'

2. Use the access_token on any endpoint:

curl --url {url}/videos --header 'Authorization: Bearer ACCESS_TOKEN'

3. Refresh:

curl --request POST \\
     --url {url}/auth/refresh \\
     --header 'Accept: application/json' \\
     --header 'Content-Type: application/json' \\
     --data '{{"refreshToken": "REFRESH_TOKEN"}}'

Ctrl-C stops it.
"""
