"""What the service manager is told: sd_notify(3), sd_watchdog_enabled(3)."""

import os
import socket

import pytest

from hourpass.server.supervision import Condition, Supervision


@pytest.fixture(params=["path", "abstract"])
def channel(request, tmp_path):
    """A service manager's socket, and its name as the service manager passes it on."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path) if request.param == "path" else f"\0hourpass-{os.getpid()}")
        receiver.setblocking(False)
        yield receiver, str(path) if request.param == "path" else f"@hourpass-{os.getpid()}"


def received(receiver):
    found = []
    while True:
        try:
            found.append(receiver.recv(4096).decode())
        except BlockingIOError:
            return found


def test_it_is_ready_when_it_listens_and_stopping_when_it_drains(channel):
    receiver, name = channel
    supervision = Supervision({"NOTIFY_SOCKET": name}, 7, lambda: 0.0)

    supervision.tell(Condition.WAITING)
    supervision.tell(Condition.LISTENING, "on 127.0.0.1:3600")
    supervision.tell(Condition.DRAINING)

    assert received(receiver) == [
        "STATUS=waiting for the database",
        "READY=1\nSTATUS=listening on 127.0.0.1:3600",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_a_condition_is_told_once_and_a_change_at_once(channel):
    receiver, name = channel
    supervision = Supervision({"NOTIFY_SOCKET": name}, 7, lambda: 0.0)

    for condition in [Condition.LISTENING] * 3 + [Condition.TROUBLE] * 3 + [Condition.LISTENING]:
        supervision.tell(condition)

    assert [told.splitlines()[-1] for told in received(receiver)] == [
        "STATUS=listening",
        "STATUS=trouble with the database: requests get 503 until it is over",
        "STATUS=listening",
    ]


def test_a_sign_of_life_comes_at_half_of_the_time_also_in_trouble(channel):
    receiver, name = channel
    now = 100.0
    supervision = Supervision({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "4000000"}, 7, lambda: now)
    supervision.tell(Condition.TROUBLE)
    received(receiver)

    told = []
    for now in (101.9, 102.0, 103.9, 104.0):  # noqa: B007 - the clock above reads it
        supervision.tell(Condition.TROUBLE)
        told.append(received(receiver))

    assert told == [[], ["WATCHDOG=1"], [], ["WATCHDOG=1"]]


@pytest.mark.parametrize(
    ("environ", "every", "patience"),
    [
        ({}, 1.0, None),
        ({"WATCHDOG_USEC": "60000000"}, 1.0, 60.0),
        ({"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "7"}, 0.2, 0.4),
        ({"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "8"}, 1.0, None),
    ],
    ids=["nobody waits", "long", "short", "for a parent"],
)
def test_the_condition_is_looked_at_often_enough_for_a_sign_of_life(environ, every, patience):
    supervision = Supervision(environ, 7)

    assert (supervision.every, supervision.patience) == (every, patience)


def test_what_could_not_be_sent_is_sent_the_next_time(tmp_path):
    """The service manager may be starting again: its socket is missing for a moment."""
    supervision = Supervision({"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "4000000"}, 7, lambda: 100.0)
    supervision.tell(Condition.LISTENING)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"{tmp_path}/notify")
        receiver.setblocking(False)

        supervision.tell(Condition.LISTENING)

        assert received(receiver) == ["READY=1\nSTATUS=listening\nWATCHDOG=1"]


def test_without_a_service_manager_nothing_happens():
    Supervision({}, 7).tell(Condition.LISTENING)
    Supervision({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000"}, 7).tell(Condition.LISTENING)
