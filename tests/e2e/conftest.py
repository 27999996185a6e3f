"""The requests of a client to a real server process, and the inside of a token, which a client never looks at."""

import json
import resource
from pathlib import Path

import httpx2

from hourpass.jose import decode_segment

PLAIN = {"verify": False, "timeout": 20}
"""Nothing uses TLS here, and reading the certificate bundle would take longer than all the rest."""


def claims_of(token: str) -> dict:
    """The claims of a token. To a client it is opaque."""
    return json.loads(decode_segment(token.split(".")[1].encode()))


def generation(refresh_token: str) -> int:
    return claims_of(refresh_token)["gen"]


def exchange(server, api_key: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": api_key}, **PLAIN)


def new_pair(server) -> dict:
    """The first pair of a new key."""
    return exchange(server, server.create_key()["api_key"]).raise_for_status().json()


def refresh(server, refresh_token: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": refresh_token}, **PLAIN)


def verify(server, access_token: str) -> int:
    """The answer to a proxy about a request with this token."""
    headers = {"authorization": f"Bearer {access_token}"}
    return httpx2.get(f"{server.url}/auth/verify", headers=headers, **PLAIN).status_code


def live(server) -> int:
    return httpx2.get(f"{server.url}/health/live", **PLAIN).status_code


def allow_descriptors(server, more: int | None) -> None:
    """So many beside those that are open. None for the usual number."""
    pid = server.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    soft = hard if more is None else max(opened) + 1 + more
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
