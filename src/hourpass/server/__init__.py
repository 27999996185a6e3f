"""The issuer: exchanges API keys for tokens, refreshes, revokes, introspects and answers for proxies."""

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # Late, so that the command's quick paths do not pay for the HTTP servers.
    if name == "create_app":
        from hourpass.server.serve import create_app

        return create_app
    raise AttributeError(name)
