"""The agent's messages to systemd, over a datagram socket as it has one: sd_notify(3), sd_watchdog_enabled(3)."""

import os
import socket

import pytest
from tests.agent.conftest import eventually

from hourpass.client.agent.notify import AgentStatus
from hourpass.service_manager import Notifier, watchdog_interval


@pytest.fixture
def channel(folder):
    """A service manager's socket, and its name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(folder / "notify"))
        receiver.settimeout(10)
        yield receiver, str(folder / "notify")


def test_one_datagram_holds_all_assignments(channel):
    receiver, name = channel

    Notifier(name).send("READY=1", "STATUS=well")

    assert receiver.recv(1000) == b"READY=1\nSTATUS=well"


def test_a_name_with_an_at_sign_is_abstract():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0hourpass-test-{os.getpid()}")
        receiver.settimeout(10)

        Notifier(f"@hourpass-test-{os.getpid()}").send("READY=1")

        assert receiver.recv(1000) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_nothing_happens_if_nobody_listens(address):
    Notifier(address).send("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval"),
    [
        ("60000000", "7", 30_000),
        ("60000000", None, 30_000),
        ("60000000", "8", None),
        (None, None, None),
        ("x", "7", None),
    ],
    ids=["ours", "anyone's", "a parent's", "none", "nonsense"],
)
def test_signs_of_life_come_twice_as_often_as_asked(microseconds, pid, interval):
    assert watchdog_interval(microseconds, pid, 7) == interval


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (
            AgentStatus(3_540_000, 60_000, 2_400_000),
            "token valid for 59 min 00 s · refreshed 1 min 00 s ago · next refresh in 40 min 00 s",
        ),
        (AgentStatus(9_000, 3_000, None), "token valid for 9 s · refreshed 3 s ago · refreshing"),
        (
            AgentStatus(9_000, 3_000, 1_000, "503"),
            "token valid for 9 s · refreshed 3 s ago · next refresh in 1 s · 503",
        ),
        (AgentStatus(None, None, None), "no token: waiting for the first one"),
        (AgentStatus(None, None, None, "no connection"), "no token: no connection"),
    ],
    ids=["fresh", "due", "trouble", "first", "none"],
)
def test_the_status_says_time_left_last_and_next_refresh(status, line):
    assert str(status) == line


def test_the_agent_is_ready_after_its_first_write_and_then_alive(shared, start, channel):
    receiver, name = channel
    api_key = shared.create_key()["api_key"]
    agent = start(shared.url, api_key, NOTIFY_SOCKET=name, WATCHDOG_USEC="400000")

    seen = []
    while "READY=1" not in seen:
        seen += receiver.recv(1000).decode().splitlines()

    assert agent.sink.read_text()
    assert api_key not in "".join(seen)
    for _ in range(3):
        assert b"WATCHDOG=1" in receiver.recv(1000)
    assert agent.stop() == 0
    receiver.settimeout(0.5)
    last = b""
    while b"STOPPING=1" not in last:
        last = receiver.recv(1000)


def test_the_status_has_the_time_left(shared, start, channel):
    receiver, name = channel
    start(shared.url, shared.create_key()["api_key"], NOTIFY_SOCKET=name).ready()

    def status():
        lines = receiver.recv(1000).decode().splitlines()
        return next((line for line in lines if line.startswith("STATUS=token valid for 59 min")), None)

    assert "next refresh in" in eventually(status)


def test_without_a_first_write_the_agent_is_not_ready(shared, start, channel, folder):
    """The sink's folder is open to everyone: refused, said, and tried again once it is closed."""
    receiver, name = channel
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    flags = ("--sink", str(folder / "open" / "token"))
    agent = start(shared.url, shared.create_key()["api_key"], *flags, NOTIFY_SOCKET=name, WATCHDOG_USEC="400000")
    agent.wait_for("anyone may write to")
    for _ in range(8):
        assert b"READY=1" not in receiver.recv(1000)

    (folder / "open").chmod(0o700)

    seen = b""
    while b"READY=1" not in seen:
        seen = receiver.recv(1000)
    assert (folder / "open" / "token").read_text()
