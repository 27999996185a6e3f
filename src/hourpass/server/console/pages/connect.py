"""Connect: what a proxy, an API and a client need to use this server, with its own addresses filled in."""

from importlib import resources
from typing import NamedTuple
from urllib.parse import urlsplit

from hourpass.admin.operations import ME
from hourpass.core.errors import NotFound
from hourpass.server.console.page import Download, PageAnswer, Section, Shown, View, Visit
from hourpass.server.settings.settings import Settings

PROXY_FILES = ("nginx.conf", "Caddyfile")
"""The files of `deploy/proxies` that need nothing but themselves."""

CLIENT = """\
export HOURPASS_URL={issuer}
export HOURPASS_API_KEY_FILE=~/.config/hourpass-key
hourpass auth-header | curl --header @- https://api.example.com/videos"""

PYTHON_CLIENT = """\
from pathlib import Path

import httpx2
from hourpass.client import FileCache, TokenSource
from hourpass.client.auth.httpx2 import HourpassAuth

source = TokenSource(
    "{issuer}",
    api_key=lambda: Path("~/.config/hourpass-key").expanduser().read_text(),
    cache=FileCache("cache/token"),
    origins=["https://api.example.com"],
)
with httpx2.Client(auth=HourpassAuth(source)) as api:
    videos = api.get("https://api.example.com/videos")"""

HTTP_CLIENT = """\
printf '{{"apiKey":"%s"}}' "$(cat ~/.config/hourpass-key)" |
  curl {issuer}/auth/api-key --header "Content-Type: application/json" --data @-"""

FASTAPI = """\
from fastapi import FastAPI
from hourpass.verifier import Verifier
from hourpass.verifier.asgi import HourpassMiddleware

app = FastAPI()
verifier = Verifier(issuer="{issuer}", audience="{audience}")
app.add_middleware(HourpassMiddleware, verifier=verifier, scopes={{"/videos": "videos.read"}})"""

WSGI = """\
from flask import Flask
from hourpass.verifier import Verifier
from hourpass.verifier.wsgi import HourpassMiddleware

verifier = Verifier(issuer="{issuer}", audience="{audience}")
app = Flask(__name__)
app.wsgi_app = HourpassMiddleware(app.wsgi_app, verifier=verifier, scopes={{"/videos": "videos.read"}})"""

DJANGO = """\
MIDDLEWARE = ["hourpass.verifier.django.HourpassMiddleware"]
HOURPASS = {{
    "issuer": "{issuer}",
    "audience": "{audience}",
    "scopes": {{"/videos": "videos.read"}},
}}"""


class Snippet(NamedTuple):
    """Text to take along."""

    id: str
    title: str
    text: str


def _show(visit: Visit) -> PageAnswer:
    """The addresses and the snippets."""
    settings = visit.settings
    issuer, audience = settings.public_url(), settings.audience or settings.public_url()
    origin, path = _origin_and_path(issuer)

    def filled(name: str, title: str, template: str) -> Snippet:
        return Snippet(name, title, template.format(issuer=issuer, audience=audience))

    return Shown(
        "connect.html",
        {
            "issuer": issuer,
            "audience": audience,
            "metadata": f"{origin}/.well-known/oauth-authorization-server{path}",
            "proxy_files": PROXY_FILES,
            "apis": [
                filled("fastapi", "FastAPI and other ASGI frameworks", FASTAPI),
                filled("wsgi", "Flask and other WSGI frameworks", WSGI),
                filled("django", "Django", DJANGO),
            ],
            "clients": [
                filled("shell", "In a shell", CLIENT),
                filled("python", "In Python", PYTHON_CLIENT),
                filled("http", "Without our client", HTTP_CLIENT),
            ],
        },
    )


def _download(visit: Visit) -> PageAnswer:
    """The file of a proxy, with this server's address in it."""
    name = visit.path["name"]
    if name not in PROXY_FILES:
        raise NotFound("there is no such file")
    return Download(name, "text/plain; charset=utf-8", proxy_file(name, visit.settings).encode())


def proxy_file(name: str, settings: Settings) -> str:
    """A proxy's file with this server's address, and the name that clients know. Your API's address stays to be set."""
    text = resources.files("hourpass.server.console").joinpath("proxies", name).read_text("utf-8")
    host = urlsplit(settings.public_url()).hostname
    address = settings.web_address()
    if address and not address.startswith(("0.0.0.0:", "[::]:")):
        text = text.replace("127.0.0.1:3600", address)
    return text.replace("api.example.com", host) if host else text


def _origin_and_path(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}", parts.path


SECTION = Section(
    "Connect",
    "connect",
    (View("/connect", ME, _show), View("/connect/{name}", ME, _download)),
)
