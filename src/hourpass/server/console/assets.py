"""The console's stylesheet, scripts and icon, under names that change with their content, so that they never expire.

They are the only answers of the console that a browser keeps. Each is compressed once, when the server starts.
"""

import gzip
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import NamedTuple

from hourpass.core.errors import NotFound
from hourpass.server.console.guard import OF_ASSETS
from hourpass.server.transport.request import Reply, Request

KINDS = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
"""Ending -> media type. Files with another ending, such as licences, are not served."""

DIGITS = 12
"""How many hexadecimal digits of its digest a file has in its name."""


class Asset(NamedTuple):
    """A file as it is served. `served_as` is its name with a part of its digest: `console.a1b2….css`."""

    served_as: str
    media_type: bytes
    body: bytes
    compressed: bytes


@cache
def assets() -> dict[str, Asset]:
    """All files by the names that templates use."""
    found = {}
    for file in resources.files("hourpass.server.console").joinpath("assets").iterdir():
        name, _, ending = file.name.rpartition(".")
        if ending in KINDS:
            body = file.read_bytes()
            served_as = f"{name}.{sha256(body).hexdigest()[:DIGITS]}.{ending}"
            found[file.name] = Asset(served_as, KINDS[ending], body, gzip.compress(body, 9, mtime=0))
    return found


@cache
def assets_by_path() -> dict[str, Asset]:
    """The same files by the names under which they are served."""
    return {asset.served_as: asset for asset in assets().values()}


def asset_answer(served_as: str, request: Request) -> Reply:
    """One of the files, compressed if the browser can read that. Raises NotFound if there is no such file."""
    asset = assets_by_path().get(served_as)
    if asset is None:
        raise NotFound("there is no such file")
    headers = [*OF_ASSETS, (b"content-type", asset.media_type)]
    if b"gzip" in (request.header(b"accept-encoding") or b""):
        return Reply(200, [*headers, (b"content-encoding", b"gzip")], asset.compressed)
    return Reply(200, headers, asset.body)
