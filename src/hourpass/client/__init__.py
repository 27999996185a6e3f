"""The API's client: exchanges an API key once, keeps the token fresh, and never loses the grant.

A public name is imported when you first use it, so a process that only reads a cached token loads no HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hourpass.client.file_token import FileToken
    from hourpass.client.refresh.cache import FileCache, MemoryCache
    from hourpass.client.refresher import Refresher
    from hourpass.client.source import TokenSource

__all__ = ["FileCache", "FileToken", "MemoryCache", "Refresher", "TokenSource"]

_HOMES = {
    "FileCache": "refresh.cache",
    "FileToken": "file_token",
    "MemoryCache": "refresh.cache",
    "Refresher": "refresher",
    "TokenSource": "source",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
