"""The arguments of a token source as one value, from which the modules of a refresh take what they need."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hourpass.client.refresh.cache import Cache
from hourpass.core.token_request import TokenRequest
from hourpass.urls import ServerAddress

if TYPE_CHECKING:
    import httpx2


class Setting(NamedTuple):
    """What does not change while a source lives. `patience` is the seconds that one refresh may take, resends included.

    `owner` names the server and the token request that a cache belongs to. `key_name` is the key's name, if known.
    """

    address: ServerAddress
    owner: str
    key_name: str | None
    token_request: TokenRequest
    api_key: str | Callable[[], str] | None
    cache: Cache
    user_agent: str
    patience: float
    clock: Callable[[], int]
    wall: Callable[[], int]
    chance: Callable[[], float]
    transport: "httpx2.BaseTransport | None"

    def __repr__(self) -> str:
        """Without the key."""
        return f"Setting({self.address.url!r})"
