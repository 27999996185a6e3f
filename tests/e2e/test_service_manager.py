"""A real server under a service manager: what it says on its socket, and what happens if it hangs (sd_notify(3))."""

import os
import signal
import socket

import httpx2
import pytest
from tests.e2e.conftest import PLAIN


@pytest.fixture
def manager():
    """The socket of a service manager that waits two seconds for a sign of life."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0hourpass-test-{os.getpid()}")
        receiver.settimeout(30)
        yield receiver


@pytest.fixture
def environment():
    return {"NOTIFY_SOCKET": f"@hourpass-test-{os.getpid()}", "WATCHDOG_USEC": "2000000"}


def lines_until(receiver, wanted):
    """The lines that came, up to one that begins with the wanted words."""
    found = []
    while not any(line.startswith(wanted) for line in found):
        found += receiver.recv(4096).decode().splitlines()
    return found


def test_it_is_ready_once_it_answers_then_alive_and_then_stopping(serve, manager, environment):
    server = serve(environment=environment)
    before = lines_until(manager, "READY=1")
    assert httpx2.get(f"{server.url}/health/ready", **PLAIN).status_code == 200
    assert before == ["READY=1", f"STATUS=listening on 127.0.0.1:{server.port}", "WATCHDOG=1"]

    assert set(lines_until(manager, "WATCHDOG=1")) == {"WATCHDOG=1"}
    assert server.stop() == 0
    assert lines_until(manager, "STOPPING=1")[-2:] in (
        ["STOPPING=1", "STATUS=draining"],
        ["STATUS=draining", "WATCHDOG=1"],
    )


def test_a_server_that_hangs_gives_no_sign_of_life(serve, manager, environment):
    server = serve(environment=environment)
    lines_until(manager, "READY=1")

    server.process.send_signal(signal.SIGSTOP)
    manager.settimeout(2)
    with pytest.raises(TimeoutError):
        for _ in range(20):
            manager.recv(4096)
    server.process.send_signal(signal.SIGCONT)

    manager.settimeout(30)
    assert "WATCHDOG=1" in lines_until(manager, "WATCHDOG=1")
