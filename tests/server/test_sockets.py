"""The sockets that the server opens itself, and those that systemd passes on (operate.md, "Connections")."""

import contextlib
import fcntl
import os
import socket
import stat
import threading

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.server import sockets
from hourpass.server.sockets import address_of, listen_at, passed_sockets, remove_unix


@pytest.fixture
def folder(tmp_path):
    """A folder whose path is short enough for any system."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    return folder


def refusal(address, mode=0o660):
    with pytest.raises(ConfigurationError) as caught:
        listen_at(address, mode)
    return caught.value.detail


def test_a_unix_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not(folder):
    address = f"unix:{folder}/socket"
    listen_at(address, 0o660).close()

    with listen_at(address, 0o660):
        assert refusal(address) == f"cannot listen on {address}: Address already in use"


def test_a_server_that_accepts_nothing_keeps_its_socket(folder):
    """Its queue is full: a client that connects would wait."""
    address = f"unix:{folder}/socket"
    with listen_at(address, 0o660) as hung:
        hung.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(f"{folder}/socket")

        assert "already in use" in refusal(address)
        for client in clients:
            client.close()


def test_a_unix_socket_is_removed_by_its_server_unless_another_has_taken_its_place(folder):
    """The old one drains for seconds after it has closed its socket: a new one may have started meanwhile."""
    address, path = f"unix:{folder}/socket", folder / "socket"
    listen_at(address, 0o660).close()
    with listen_at(address, 0o660):
        remove_unix(address)
        assert path.is_socket()

    remove_unix(address)
    assert not path.exists()
    remove_unix(address)
    remove_unix("127.0.0.1:3600")


def test_of_servers_that_start_at_once_one_gets_the_socket_and_keeps_it(folder):
    address = f"unix:{folder}/socket"
    listen_at(address, 0o660).close()
    opened, refused = [], []

    def start():
        try:
            opened.append(listen_at(address, 0o660))
        except ConfigurationError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (len(opened), len(refused)) == (1, 19)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/socket")
    opened[0].close()


@contextlib.contextmanager
def locked(path):
    """Hold a lock on a file or folder, as anyone can who may read it."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def test_a_server_waits_for_one_that_opens_the_same_socket(folder):
    """Between the look at an old file and its removal, another server could put its own there."""
    address = f"unix:{folder}/socket"
    listen_at(address, 0o660).close()
    opened = []
    thread = threading.Thread(target=lambda: opened.append(listen_at(address, 0o660)))
    with locked(folder / "socket.lock"):
        thread.start()
        thread.join(0.3)
        assert opened == []

    thread.join(10)
    opened[0].close()


def test_a_server_does_not_wait_for_ever(folder, monkeypatch):
    address = f"unix:{folder}/socket"
    listen_at(address, 0o660).close()
    monkeypatch.setattr(sockets, "PATIENCE", 0.1)

    with locked(folder / "socket.lock"):
        told = refusal(address)
        remove_unix(address)

    assert told == f"another server opens {folder}/socket at this moment: it holds {folder}/socket.lock"
    assert (folder / "socket").is_socket()


def test_nobody_else_can_hold_a_server_up(folder, monkeypatch):
    """Another user who may read the folder can lock it, and every file in it that is open to others."""
    address = f"unix:{folder}/socket"
    monkeypatch.setattr(sockets, "PATIENCE", 0.1)
    before = os.umask(0)
    try:
        with locked(folder):
            listen_at(address, 0o660).close()
            remove_unix(address)
    finally:
        os.umask(before)

    assert not (folder / "socket").exists()
    assert stat.S_IMODE((folder / "socket.lock").stat().st_mode) == 0o600


def test_a_lock_that_an_earlier_version_left_open_to_others_is_closed(folder):
    (folder / "socket.lock").touch()
    (folder / "socket.lock").chmod(0o644)

    listen_at(f"unix:{folder}/socket", 0o660).close()

    assert stat.S_IMODE((folder / "socket.lock").stat().st_mode) == 0o600


def test_a_lock_that_is_a_link_is_refused_by_name(folder):
    (folder / "socket.lock").symlink_to(folder / "elsewhere")

    assert f"cannot lock {folder}/socket.lock: " in refusal(f"unix:{folder}/socket")
    assert not (folder / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["file", "link to a socket", "link to nothing", "folder"])
def test_what_is_not_a_socket_is_left_alone(folder, kind):
    path = folder / "socket"
    elsewhere = folder / "elsewhere"
    listen_at(f"unix:{elsewhere}", 0o660).close()
    match kind:
        case "file":
            path.write_text("kept")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(elsewhere if kind == "link to a socket" else folder / "nothing")

    assert "already in use" in refusal(f"unix:{path}")
    remove_unix(f"unix:{path}")
    assert os.path.lexists(path)
    assert elsewhere.is_socket()
    assert not (folder / "nothing").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_folder_into_which_others_can_write_is_refused(folder, mode):
    folder.chmod(mode)

    assert f"others can write into {folder}" in refusal(f"unix:{folder}/socket")
    remove_unix(f"unix:{folder}/socket")
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_missing_is_named(folder):
    assert f"cannot use {folder}/none: No such file or directory" in refusal(f"unix:{folder}/none/socket")


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_is_the_one_that_was_asked_for_under_any_umask(folder, mode, umask):
    before = os.umask(umask)
    try:
        listen_at(f"unix:{folder}/socket", mode).close()
    finally:
        os.umask(before)

    assert stat.S_IMODE((folder / "socket").stat().st_mode) == mode


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_an_address_is_told_as_the_settings_spell_it(folder, address):
    address = f"unix:{folder}/socket" if address == "unix" else address

    with listen_at(address, 0o660) as listener:
        told = address_of(listener)

    assert told.removesuffix(told.rpartition(":")[2]) == address.removesuffix(address.rpartition(":")[2])
    assert told.rpartition(":")[2] not in ("", "0")


def test_an_abstract_socket_of_systemds_is_told_with_an_at_sign():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0hourpass-{os.getpid()}")

        assert address_of(listener) == f"unix:@hourpass-{os.getpid()}"


def test_sockets_are_for_the_process_that_they_are_meant_for():
    assert passed_sockets({}, 7) == ([], None)
    assert passed_sockets({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, 7) == ([], None)
    assert passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "0"}, 7) == ([], None)


def test_a_count_that_is_not_a_number_is_refused():
    with pytest.raises(ConfigurationError, match="LISTEN_FDS"):
        passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "x"}, 7)


FIRST = 200
"""A descriptor that nothing else in this process has."""


@pytest.fixture
def pass_on():
    """Pass sockets on as systemd does, from the descriptor FIRST on, and look at what comes out."""
    taken = []

    def pass_on(*listeners, names=None):
        for number, listener in enumerate(listeners):
            taken.append(os.dup2(listener.fileno(), FIRST + number))
            listener.close()
        environ = {"LISTEN_PID": "7", "LISTEN_FDS": str(len(listeners))}
        return passed_sockets(environ | ({} if names is None else {"LISTEN_FDNAMES": names}), 7, FIRST)

    yield pass_on
    for descriptor in taken:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def numbers(passed):
    """The descriptors of what came out, which are then closed."""
    public, admin = passed
    found = [listener.fileno() - FIRST for listener in public], admin and admin.fileno() - FIRST
    for listener in (*public, *([admin] if admin else [])):
        listener.close()
    return found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, ([0, 1], None)),
        ("http:admin", ([0], 1)),
        ("admin:http", ([1], 0)),
        ("hourpass.socket:hourpass.socket", ([0, 1], None)),
        ("admin", ([1], 0)),
    ],
    ids=["no names", "in order", "the other way", "systemd's own names", "too few names"],
)
def test_the_socket_called_admin_is_for_health_and_metrics_and_the_others_for_clients(pass_on, names, expected):
    """sd_listen_fds_with_names(3)."""
    passed = pass_on(*(socket.create_server(("127.0.0.1", 0)) for _ in range(2)), names=names)

    assert numbers(passed) == expected


def test_there_can_be_only_one_admin_listener(pass_on):
    with pytest.raises(ConfigurationError, match="2 sockets called admin"):
        numbers(pass_on(*(socket.create_server(("127.0.0.1", 0)) for _ in range(2)), names="admin:admin"))


@pytest.mark.parametrize("kind", ["datagram", "connected", "file", "nothing"])
def test_what_is_not_a_listening_stream_socket_is_refused(pass_on, tmp_path, kind):
    """Accept=yes passes a connection, ListenDatagram= a socket of another type, ListenFIFO= no socket at all."""
    match kind:
        case "datagram":
            given = socket.socket(type=socket.SOCK_DGRAM)
        case "connected":
            given, other = socket.socketpair()
            other.close()
        case _:
            given = (tmp_path / "file").open("w")

    with pytest.raises(ConfigurationError, match=f"descriptor {FIRST + (kind == 'nothing')} of systemd"):
        if kind == "nothing":
            given.close()
            passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, 7, FIRST + 1)
        else:
            pass_on(given)


def test_programs_that_the_server_starts_do_not_get_the_sockets(pass_on):
    """Not even those that were started without closing what is open."""
    public, _ = pass_on(socket.create_server(("127.0.0.1", 0)))

    assert fcntl.fcntl(public[0].fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    public[0].close()


def test_the_sockets_that_the_server_opens_are_not_passed_on_either(folder):
    for address in ("127.0.0.1:0", f"unix:{folder}/socket"):
        with listen_at(address, 0o660) as listener:
            assert fcntl.fcntl(listener.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
