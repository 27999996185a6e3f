"""The agent's sockets: a unix socket and, if configured, loopback TCP. They own who may ask.

A peer is known by its user id, which the kernel vouches for, or on TCP by a shared secret.
"""

import hmac
import os
import socket
import socketserver
import stat
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from hourpass.client.agent.agent import Agent
from hourpass.client.agent.local_server import MAX_CONNECTIONS, LocalCall, LocalServer
from hourpass.client.agent.peer import peer_uid
from hourpass.core.errors import ConfigurationError
from hourpass.urls import is_loopback

STRANGERS = 8
"""Connections of all users who may not ask, together: enough to answer each, too few to hold up anyone else."""

if sys.platform == "win32":  # when it starts, the agent says that it needs a POSIX system
    _UnixServer = socketserver.TCPServer
else:
    _UnixServer = socketserver.UnixStreamServer


class UnixSocket(LocalServer, _UnixServer):
    """A unix socket for the users in `uids`, or for this user if you name none.

    Its folder is made 0700, or 0711 if others may ask, and refused if it is open any wider. A socket that another agent
    left at `path` is replaced: this agent holds the lock, so the other one is gone.
    """

    def __init__(self, path: str | os.PathLike[str], agent: Agent, uids: Collection[int] = ()) -> None:
        super().__init__(str(path), str(path), agent)
        self._path = Path(path)
        self._uids = frozenset(uids or {os.geteuid()})
        self._is_bound = False

    def admits(self, call: LocalCall) -> bool:
        """Decide by the peer's user id when it connected."""
        return peer_uid(call.connection) in self._uids

    def share_of(self, request: socket.socket) -> tuple[object, int]:
        uid = peer_uid(request)
        return (uid, MAX_CONNECTIONS) if uid in self._uids else (None, STRANGERS)

    def server_bind(self) -> None:
        has_others = not self._uids <= {os.geteuid()}
        allowed = 0o711 if has_others else 0o700
        folder = self._path.parent
        folder.mkdir(mode=allowed, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_mode & 0o077 & ~allowed or found.st_uid != os.geteuid():
            raise ConfigurationError(
                f"{folder} holds the agent's socket, so it must be this user's own, with mode {allowed:04o}"
            )
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise ConfigurationError(f"{self._path} is in the way: it is not a socket")
            self._path.unlink()
        self.socket.bind(str(self._path))
        self._is_bound = True
        self._path.chmod(0o666 if has_others else 0o600)

    def server_close(self) -> None:
        # Also called after a bind that failed: then the file that was in the way stays.
        if self._is_bound:
            self._path.unlink(missing_ok=True)
        super().server_close()


class LoopbackSocket(LocalServer):
    """HTTP on loopback for programs that know `secret`. A web page whose name points to this machine has another Host.

    Raises:
        ConfigurationError: the address is not loopback, or the secret is too short.
    """

    def __init__(self, host: str, port: int, agent: Agent, secret: str) -> None:
        if not is_loopback(host):
            raise ConfigurationError(f"{host} is not loopback: the agent serves its own host only")
        if len(secret) < 16:
            raise ConfigurationError("the secret of the agent's port must have at least 16 characters")
        super().__init__((host, port), f"{host}:{port}", agent)
        self._host = host
        self._expected = f"Bearer {secret}".encode()

    def server_bind(self) -> None:
        # Old connections that linger must not keep the next agent out.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        super().server_bind()

    def admits(self, call: LocalCall) -> bool:
        """Decide by the Host and Authorization headers, each exactly once."""
        hosts, credentials = (call.headers.get_all(name, []) for name in ("Host", "Authorization"))
        port = self.server_address[1]
        return (
            hosts in ([f"{self._host}:{port}"], [f"localhost:{port}"])
            and len(credentials) == 1
            and hmac.compare_digest(credentials[0].encode("utf-8", "replace"), self._expected)
        )
