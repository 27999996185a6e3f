"""The sockets that the server listens on: those that systemd passed on, or new ones at the settings' addresses.

Owns how a socket is opened and how its file is removed. It accepts no connection.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from hourpass.core.errors import ConfigurationError
from hourpass.ownership import own_lock, require_own_folder
from hourpass.server.settings.parsers import UNIX
from hourpass.server.settings.settings import Settings
from hourpass.server.transport.listener import BACKLOG

FIRST_DESCRIPTOR = 3
"""The descriptor of the first socket that systemd passes on (sd_listen_fds(3))."""

ADMIN = "admin"
"""The name of a passed socket that becomes the admin listener. Any other name is for clients."""


PATIENCE = 5.0
"""Seconds to wait for another server that opens the same socket. It needs a millisecond."""


class Sockets(NamedTuple):
    """The sockets for clients, and the one for health and metrics."""

    public: list[socket.socket]
    admin: socket.socket | None


def passed_sockets(environ: Mapping[str, str], pid: int, first: int = FIRST_DESCRIPTOR) -> Sockets:
    """The sockets that systemd opened for this process, from the descriptor `first` on.

    Programs that this process starts do not get them (sd_listen_fds_with_names(3)).

    Raises:
        ConfigurationError: if one of them is not a stream socket that listens, or if two are called `admin`.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return Sockets([], None)
    count = environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise ConfigurationError("LISTEN_FDS is not a number")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    public: list[socket.socket] = []
    admin: list[socket.socket] = []
    for position in range(int(count)):
        listener = _passed(first + position)
        named = names[position] if position < len(names) else ""
        (admin if named == ADMIN else public).append(listener)
    if len(admin) > 1:
        for listener in (*public, *admin):
            listener.close()
        raise ConfigurationError(f"systemd passed on {len(admin)} sockets called admin: there can be only one")
    return Sockets(public, admin[0] if admin else None)


def _passed(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
        if listener.type == socket.SOCK_STREAM and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return listener
        listener.close()
    except OSError as error:
        raise ConfigurationError(f"cannot use the descriptor {descriptor} of systemd: {error.strerror}") from error
    raise ConfigurationError(
        f"the descriptor {descriptor} of systemd is not a listening stream socket: use ListenStream= and Accept=no"
    )


@contextlib.contextmanager
def open_sockets(settings: Settings, passed: Sockets) -> Iterator[Sockets]:
    """What was passed on, and at the settings' addresses what was not. What we opened is closed and removed at the end.

    Raises:
        ConfigurationError: if an address cannot be listened on.
    """
    mode, shared = int(settings.socket_mode, 8), settings.workers > 1
    addresses = [] if passed.public else settings.addresses()
    admin_address = "off" if passed.admin else settings.admin_listen
    with contextlib.ExitStack() as ours:
        for address in (*addresses, admin_address):
            ours.callback(remove_unix, address)
        public = [ours.enter_context(listen_at(address, mode, shared=shared)) for address in addresses]
        admin = passed.admin
        if admin_address != "off":
            admin = ours.enter_context(listen_at(admin_address, int(settings.admin_socket_mode, 8)))
        yield Sockets(passed.public or public, admin)


def sockets_of_worker(settings: Settings, sockets: Sockets, passed: Sockets) -> Sockets:
    """The sockets of one worker. It has its own on each TCP address, and the kernel shares out the connections.

    All workers share unix sockets, what systemd opened, and the admin listener.
    """
    public = [
        listener
        if passed.public or listener.family == socket.AF_UNIX
        else listen_at(address_of(listener), int(settings.socket_mode, 8), shared=True)
        for listener in sockets.public
    ]
    return Sockets(public, sockets.admin)


def listen_at(address: str, mode: int, *, shared: bool = False) -> socket.socket:
    """A socket at an address as the settings spell it. `mode` is for the file of a unix socket.

    Raises:
        ConfigurationError: if it cannot be opened.
    """
    try:
        if address.startswith(UNIX):
            return bind_unix(Path(address.removeprefix(UNIX)), mode)
        host, _, port = address.rpartition(":")
        return bind(host.strip("[]"), int(port), shared=shared)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {address}: {error.strerror or error}") from error


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, spelt as in the settings."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return UNIX + (f"@{name[1:].decode(errors='replace')}" if isinstance(name, bytes) else name)
    return host_and_port(name[0], name[1])


def host_and_port(host: str, port: int) -> str:
    """An address as the settings spell it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound TCP socket. Port 0 takes a free one. With `shared`, other processes of this user can bind it, too.

    Raises:
        OSError: if it cannot be bound.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def bind_unix(path: Path, mode: int) -> socket.socket:
    """A unix socket that listens, with a file of this mode. It replaces one that a server has left behind.

    It listens at once, because a file on which nobody listens looks like one that was left behind.

    Raises:
        ConfigurationError: if others can write into the folder. They could put their own socket in its place. Also if
            another server opens a socket there and does not end.
        OSError: if it cannot be bound, for example because a server listens on it.
    """
    with _alone_at(path, PATIENCE):
        _remove_dead(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(OSError):  # only Linux can set the mode before there is a file
                os.fchmod(listener.fileno(), mode)
            listener.bind(str(path))
            path.chmod(mode)  # the umask may have taken something away
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener


def remove_unix(address: str) -> None:
    """Remove the file of a unix socket if nobody listens on it. Another server may have taken its place."""
    if not address.startswith(UNIX):
        return
    path = Path(address.removeprefix(UNIX))
    # The holder of the lock opens a socket there, and replaces ours.
    with contextlib.suppress(OSError, ConfigurationError):
        if _is_socket(path):
            with _alone_at(path, 0):
                _remove_dead(path)


@contextlib.contextmanager
def _alone_at(path: Path, patience: float) -> Iterator[None]:
    """Keep other servers from opening or removing the socket at a path. Waits for them `patience` seconds."""
    require_own_folder(path.parent)
    lock = own_lock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise ConfigurationError(f"another server opens {path} at this moment: it holds {lock.lock_file}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot lock {lock.lock_file}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _remove_dead(path: Path) -> None:
    if not _is_socket(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.setblocking(False)  # a server that accepts nothing is alive, too
        try:
            visitor.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError:
            return
