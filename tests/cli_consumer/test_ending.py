"""A command ends when it says so, even if the server hangs, and at Ctrl-C unless a refresh token is at stake."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager

import pytest
from tests.client.scripted_server import ScriptedServer
from tests.conftest import HOURPASS

from hourpass.cli.client.api_key_source import ApiKeySource
from hourpass.cli.client.client import Client

SLACK = 6.0
"""Seconds for Python to start and end on a busy machine. The mistakes that are excluded take ten times as long."""

RUNS = 3
"""What is promised in seconds must be kept by one of so many runs: a busy machine shall not decide."""


def best(promised: float, run: Callable[[], float]) -> float:
    """The shortest of a few runs, printed. The first that keeps the promise ends them."""
    taken = [run()]
    while min(taken) > promised and len(taken) < RUNS:
        taken.append(run())
    print("seconds:", *(f"{seconds:.2f}" for seconds in taken))
    return min(taken)


@contextmanager
def hang():
    """A server that reads each request and answers none."""
    server = ScriptedServer()
    server.script = [server.stall] * 9
    yield server
    server.close()


@pytest.fixture
def hanging():
    with hang() as server:
        yield server


def to(server, user):
    return {**user.environment, "HOURPASS_URL": server.url}


@pytest.mark.parametrize("command", [("token",), ("auth-header",), ("refresh",), ("run", "--", "true")])
def test_a_command_ends_at_its_time_out(user, hanging, command):
    began = time.monotonic()
    name, *rest = command
    done = subprocess.run(
        [HOURPASS, name, "--timeout", "1", *rest], env=to(hanging, user), capture_output=True, text=True
    )

    assert time.monotonic() - began < 1 + SLACK
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_a_time_out_of_three_seconds_ends_the_process_within_three_and_a_half(user):
    """From its start to its end, Python's own included."""

    def run() -> float:
        with hang() as server:
            began = time.monotonic()
            done = subprocess.run([HOURPASS, "token", "--timeout", "3"], env=to(server, user), capture_output=True)
            taken = time.monotonic() - began
        assert done.returncode == 20
        assert taken > 2.5  # it gives up a little before, if there is no time left for another attempt
        return taken

    assert best(3.5, run) < 3.5


def test_a_time_out_while_a_refresh_token_is_presented_keeps_the_token(holder, hanging):
    holder.age(3600)
    before = holder.cached["refresh_token"]
    began = time.monotonic()
    done = subprocess.run(
        [HOURPASS, "token", "--timeout", "1"], env=moved(holder, hanging), capture_output=True, text=True
    )

    assert time.monotonic() - began < 1 + SLACK
    assert done.returncode == 20
    assert hanging.bodies[0] == {"refreshToken": before}


def interrupted(process, server):
    """Seconds that a command takes to end after Ctrl-C, once its request has arrived."""
    while not server.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    return time.monotonic() - began


@pytest.mark.parametrize("command", ["token", "refresh"])
def test_ctrl_c_ends_an_exchange_within_a_second(user, command):
    def run() -> float:
        with hang() as server:
            process = subprocess.Popen(
                [HOURPASS, command, "--timeout", "30"],
                env=to(server, user),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            return interrupted(process, server)

    assert best(1, run) < 1


def test_ctrl_c_waits_for_the_answer_to_a_refresh_token_and_a_second_one_does_not(holder, hanging):
    holder.age(3600)
    process = subprocess.Popen(
        [HOURPASS, "token", "--timeout", "60"],
        env=moved(holder, hanging),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not hanging.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=SLACK)
    assert "Traceback" not in stderr


def moved(holder, server):
    """The environment of a user whose cached credential belongs to another address."""
    client = Client(server.url, False, ApiKeySource("nowhere"), holder.folder, None, None, None, 1)
    content = holder.cache_file.read_text().replace(holder.url, server.url)
    client.cache_path.write_text(content)
    client.cache_path.chmod(0o600)
    return to(server, holder)
