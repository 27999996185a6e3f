"""The socket: who may ask, what is answered, and what is refused."""

import json
import os
import select
import shutil
import socket
import stat
import struct
import subprocess
import time
from contextlib import ExitStack, closing, suppress

import httpx2
import pytest
from tests.agent.conftest import ask
from tests.client.conftest import Endpoint
from tests.conftest import free_port

from hourpass.client.agent.agent import Agent
from hourpass.client.agent.delivery import Plan
from hourpass.client.agent.hooks import Hooks
from hourpass.client.agent.local_server import MAX_CONNECTIONS, TIMEOUT
from hourpass.client.agent.mailbox import Mailbox
from hourpass.client.agent.peer import peer_uid
from hourpass.client.agent.socket import STRANGERS, LoopbackSocket, UnixSocket
from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError

SECRET = "a secret of the port"
NOBODY = 65_534


@pytest.fixture
def agent():
    """An agent with a token that is good for an hour. Its loop does not run."""
    with (
        closing(Mailbox()) as mailbox,
        TokenSource("http://127.0.0.1:3600", "KEY", transport=Endpoint().transport) as source,
    ):
        plan = Plan([], Hooks([], environment={}, log=print))
        yield Agent(source, mailbox, lambda: plan, log=print)


@pytest.fixture
def path(folder):
    return folder / "s" / "agent"


@pytest.fixture
def unix(path, agent):
    with UnixSocket(path, agent):
        yield path


def test_get_token_answers_with_the_token_and_its_instants(unix):
    status, text = ask(unix, "/token?min_valid=300")
    answer = json.loads(text)

    assert status == 200
    assert answer.keys() == {"access_token", "token_type", "expires_at", "issued_at"}
    assert (answer["access_token"], answer["token_type"]) == ("access-1", "Bearer")
    assert answer["expires_at"] - answer["issued_at"] == 3_600_000


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("/token?min_valid=x", None, 400),
        ("/token?min_valid=-1", None, 400),
        ("/token?min_valid=1&min_valid=2", None, 400),
        ("/rejected", b"", 400),
        ("/rejected", b"[]", 400),
        ("/rejected", b'{"fingerprint": "0123456789ABCDEF"}', 400),
        ("/rejected", b'{"fingerprint": "' + b"0" * 2000 + b'"}', 400),
        ("/rejected", b'{"fingerprint": "0123456789abcdef"}', 200),
        ("/rejected", None, 404),
        ("/token", b"{}", 404),
        ("/", None, 404),
    ],
    ids=["word", "negative", "twice", "empty", "list", "capitals", "long", "unknown", "get", "post", "elsewhere"],
)
def test_each_request_has_its_status(unix, target, body, status):
    assert ask(unix, target, body)[0] == status


def test_the_folder_is_0700_and_the_socket_0600(unix):
    assert stat.S_IMODE(unix.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(unix.stat().st_mode) == 0o600


def test_a_user_who_is_not_on_the_list_is_refused(path, agent):
    """The list names somebody else, so that this user is the stranger."""
    with UnixSocket(path, agent, {os.geteuid() + 1}):
        status, text = ask(path, "/token")

    assert status == 403
    assert "access" not in text


def test_another_user_is_known_by_the_kernel(path, folder, agent):
    """A real other user, if the tests may become one. The forged list above works everywhere."""
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("curl"):
        pytest.skip("needs root, setpriv and curl to be another user")
    folder.chmod(0o711)
    curl = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", "--unix-socket", str(path), "http://localhost/token"]

    def answer(uids):
        with UnixSocket(path, agent, uids):
            return subprocess.run([*become, *curl], capture_output=True, text=True, check=False).stdout

    assert answer({0, NOBODY}) == "200"
    assert answer({0, NOBODY + 1}) == "403"
    shutil.rmtree(path.parent)
    assert answer({0}) == "000"


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_folder_that_others_may_enter_is_refused(path, agent, mode):
    path.parent.mkdir()
    path.parent.chmod(mode)

    with pytest.raises(ConfigurationError, match="0700"), UnixSocket(path, agent):
        pass


def test_the_socket_of_a_killed_agent_is_replaced(path, agent):
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    with UnixSocket(path, agent):
        assert ask(path, "/health/live")[0] == 200
    assert not path.exists()


def test_a_file_in_the_sockets_place_is_left_alone(path, agent):
    path.parent.mkdir(mode=0o700)
    path.write_text("precious")

    with pytest.raises(ConfigurationError, match="not a socket"), UnixSocket(path, agent):
        pass

    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_told_as_such(folder, agent):
    with pytest.raises(ConfigurationError, match="cannot listen"), UnixSocket(folder / ("x" * 120), agent):
        pass


def test_more_peers_than_there_is_room_for_are_turned_away_and_no_others(unix):
    peers = []
    try:
        for _ in range(MAX_CONNECTIONS + 1):
            peers.append(socket.socket(socket.AF_UNIX))
            peers[-1].settimeout(10)
            peers[-1].connect(str(unix))
        assert peers[-1].recv(1) == b""
    finally:
        for peer in peers:
            peer.close()


@pytest.fixture
def port(agent):
    port = free_port()
    with LoopbackSocket("127.0.0.1", port, agent, SECRET):
        yield port


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {SECRET}"}, 200),
        ({}, 403),
        ({"Authorization": "Bearer another secret"}, 403),
        ({"Authorization": f"Bearer {SECRET}", "Host": "evil.example"}, 403),
    ],
    ids=["secret", "none", "wrong", "host"],
)
@pytest.mark.parametrize("target", ["/token", "/metrics", "/health/live"])
def test_the_port_needs_the_secret_and_its_own_host(port, target, headers, status):
    answer = httpx2.get(f"http://127.0.0.1:{port}{target}", headers=headers, verify=False)

    assert answer.status_code == status


@pytest.mark.parametrize(("host", "secret"), [("0.0.0.0", SECRET), ("192.0.2.1", SECRET), ("127.0.0.1", "short")])
def test_a_port_is_loopback_with_a_secret_or_not_at_all(agent, host, secret):
    with pytest.raises(ConfigurationError):
        LoopbackSocket(host, 0, agent, secret)


def test_an_answer_is_not_to_be_stored(port):
    answer = httpx2.get(f"http://127.0.0.1:{port}/token", headers={"Authorization": f"Bearer {SECRET}"}, verify=False)

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"


def connect(path):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    peer.connect(str(path))
    return peer


def test_strangers_hold_up_nobody_who_may_ask(path, agent, monkeypatch):
    """They are told apart by the kernel when they connect, and have few places of their own."""
    with UnixSocket(path, agent) as served, ExitStack() as stack:
        served._uids = frozenset()
        strangers = [stack.enter_context(connect(path)) for _ in range(MAX_CONNECTIONS + 10)]
        served_in_time = [one for one in strangers if not turned_away(one)]
        served._uids = frozenset({os.geteuid()})

        assert len(served_in_time) == STRANGERS
        assert ask(path, "/token")[0] == 200


def turned_away(peer) -> bool:
    """Whether the connection was closed without a word."""
    peer.settimeout(0.2)
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "start", [b"", b"GET /token HTTP/1.1\r\n", b"POST /rejected HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"]
)
def test_a_request_that_drips_has_one_time_limit_for_all_of_it(unix, start):
    with connect(unix) as peer:
        began = time.monotonic()
        peer.sendall(start)
        with suppress(BrokenPipeError, ConnectionResetError):
            while not readable(peer) and time.monotonic() - began < 3 * TIMEOUT:
                peer.sendall(b"X")
        assert TIMEOUT - 0.5 < time.monotonic() - began < 2 * TIMEOUT


def readable(peer) -> bool:
    return bool(select.select([peer], [], [], 0.1)[0])


@pytest.mark.parametrize("uid", [0, 501, 2**32 - 2])
def test_on_macos_a_peer_is_known_by_its_own_option(uid):
    """sys/un.h: LOCAL_PEERCRED at level SOL_LOCAL. There is no SO_PEERCRED."""

    class Mac:
        def getsockopt(self, level, option, size):
            assert (level, option) == (0, 1)
            return struct.pack("=IIhxx16I", 0, uid, 1, *[20] * 16)[:size]

    assert peer_uid(Mac(), "darwin") == uid


def test_this_kernel_says_who_we_are():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()
