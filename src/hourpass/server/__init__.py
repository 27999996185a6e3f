"""The issuer: exchanges API keys for tokens, refreshes, revokes, introspects and answers for proxies."""

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # Imported only when needed, so that quick commands do not load the HTTP server.
    if name == "create_app":
        from hourpass.server.serve import create_app

        return create_app
    raise AttributeError(name)
