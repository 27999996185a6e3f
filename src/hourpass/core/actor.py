"""Who does something, as the audit trail tells it."""

from typing import NamedTuple


class Actor(NamedTuple):
    """Who did something: `cli:USER@HOST`, `key:ID`, `client` (a caller over HTTP), `server` (hourpass by itself).

    `address` is the caller's IP address and `request_id` the id of the HTTP request, None if there is none.
    """

    name: str
    address: str | None = None
    request_id: str | None = None


_KEY = "key:"


def key_of_actor(name: str | None) -> str | None:
    """The id of the key that an actor is, None if it is none."""
    return name.removeprefix(_KEY) if name is not None and name.startswith(_KEY) else None


SERVER = Actor("server")
"""What hourpass does by itself."""
