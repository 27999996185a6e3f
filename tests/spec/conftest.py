"""The same server in process that tests/server uses."""

from tests.server.conftest import Server, http, server, start

__all__ = ["Server", "http", "server", "start"]
