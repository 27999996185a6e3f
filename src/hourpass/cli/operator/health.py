"""`hourpass health`: ask a running server whether it is ready. A container has no other client for this."""

import socket
import sys
from http.client import HTTPConnection, HTTPException

import click
import msgspec

from hourpass.cli.operator.database import read_settings, settings_options
from hourpass.cli.terminal import print_facts
from hourpass.core.errors import ConfigurationError
from hourpass.server.settings.parsers import UNIX

WITHIN = 5
"""Seconds within which the server must answer. Readiness may make a write of its own."""

_HERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - who listens everywhere is asked on loopback
"""Every address of this machine, and the one of them that we ask."""


class _UnixConnection(HTTPConnection):
    """A connection to a server that listens on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(WITHIN)
        self.sock.connect(self._path)


@click.command()
@settings_options("data", "admin_listen")
def health(flags: dict[str, object]) -> None:
    """Ask the running server whether it is ready: its checks by name. Exits with 1 if it is not.

    It asks where the settings say that the server serves health and metrics.
    """
    address = read_settings(flags).admin_listen
    if address == "off":
        raise ConfigurationError("admin_listen is off: the server answers /health/ready on its public address only")
    checks = _checks(address)
    print_facts(checks.items())
    if any(word != "ok" for word in checks.values()):
        sys.exit(1)


class _Ready(msgspec.Struct):
    checks: dict[str, str]


def _checks(address: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(ask(address, "/health/ready")[1], type=_Ready).checks
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _stranger(address) from error


def ask(address: str, path: str) -> tuple[int, bytes]:
    """What a server on this machine answers to a GET: the status and the body. `address` is spelt as in the settings.

    Raises:
        ConfigurationError: if no server answers there, or something that is not one.
    """
    connection = _connection(address)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError as error:
        raise ConfigurationError(f"no server answers at {address}: {error.strerror or error}") from error
    except HTTPException as error:
        raise _stranger(address) from error
    finally:
        connection.close()


def _stranger(address: str) -> ConfigurationError:
    return ConfigurationError(f"what answers at {address} is not hourpass")


def _connection(address: str) -> HTTPConnection:
    if address.startswith(UNIX):
        return _UnixConnection(address.removeprefix(UNIX))
    host, _, port = address.rpartition(":")
    return HTTPConnection(_HERE.get(host, host).strip("[]"), int(port), timeout=WITHIN)
