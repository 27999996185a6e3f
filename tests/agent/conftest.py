"""The agent as a real process, its socket as a program sees it, and a handout to write."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from tests.conftest import HOURPASS, LOOKS_SECRET, ServerProcess, clean_environment

from hourpass.client.agent.handout import Handout


def eventually(condition, seconds: float = 10):
    """The first true value of a condition that another process will bring about."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {condition.__name__}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def ask(path: Path, target: str, body: bytes | None = None) -> tuple[int, str]:
    """One request at a unix socket: status and text."""
    connection = UnixConnection(path)
    try:
        connection.request("GET" if body is None else "POST", target, body)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class AgentProcess:
    """`hourpass agent`. Its log lies in `log`, its token in `sink`, its socket in `socket`."""

    def __init__(
        self, folder: Path, url: str, key_file: Path, name: str, *flags: str, has_sink: bool = True, **environment: str
    ) -> None:
        self.log = folder / f"{name}.log"
        self.sink = folder / "token"
        self.socket = folder / "s" / "agent"
        self.arguments = [
            str(part)
            for part in (
                HOURPASS, "agent", "--url", url, "--api-key-file", key_file, "--cache", folder / "cache",
                "--socket", self.socket, *(("--sink", self.sink) if has_sink else ()), *flags,
            )
        ]  # fmt: skip
        self.environment = clean_environment(**environment)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.arguments, stdout=log, stderr=log, env=self.environment)

    def said(self, words: str, times: int = 1) -> bool:
        return self.log.read_text().count(words) >= times

    def wait_for(self, words: str, seconds: float = 10, times: int = 1) -> None:
        try:
            eventually(lambda: self.said(words, times) or self.process.poll() is not None, seconds)
        finally:
            assert self.said(words, times), self.log.read_text()

    def ready(self) -> "AgentProcess":
        eventually(self.is_ready)
        return self

    def is_ready(self) -> bool:
        try:
            return ask(self.socket, "/health/ready")[0] == 200
        except (FileNotFoundError, ConnectionRefusedError):
            # Not there yet, or left by one that was killed.
            assert self.process.poll() is None, self.log.read_text()
            return False

    def token(self) -> str:
        return json.loads(ask(self.socket, "/token")[1])["access_token"]

    def metric(self, name: str) -> int:
        lines = ask(self.socket, "/metrics")[1].splitlines()
        return next(int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"hourpass_agent_{name} "))

    def send(self, name: str) -> None:
        self.process.send_signal(getattr(signal, name))

    def stop(self) -> int:
        """TERM, and the exit code."""
        self.send("SIGTERM")
        return self.process.wait(45)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A server that no test changes: starting one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("shared")
    server = ServerProcess(folder / "data", folder / "log", {"exchange-limit": 0}, {}).start()
    yield server
    server.kill()
    assert not LOOKS_SECRET.search(server.log.read_bytes()), "a key or a token stands in the log"


@pytest.fixture
def folder():
    """A folder whose path is short enough for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="hp-") as name:
        yield Path(name)


@pytest.fixture
def start(folder):
    """A factory of agents on one folder: `start(url, api_key, "--hook", program)`. All are ended with the test."""
    agents: list[AgentProcess] = []

    def start(url: str, api_key: str, *flags: str, **more) -> AgentProcess:
        key_file = folder / "api-key"
        key_file.write_text(api_key)
        key_file.chmod(0o600)
        agents.append(AgentProcess(folder, url, key_file, f"agent-{len(agents)}", *flags, **more))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.process.poll() is None:
            agent.kill()
        text = agent.log.read_bytes()
        assert not LOOKS_SECRET.search(text), f"{agent.log.name} holds a secret"
        assert b"Traceback" not in text, text.decode()


@pytest.fixture
def handout():
    """A token that is good for an hour, as far as a file can tell."""
    return Handout("header.payload.signature", 1_800_000_000_000, 1_800_003_600_000)


@pytest.fixture
def group() -> str:
    """A group that this user may give files to."""
    return str(next(iter({*os.getgroups()} - {os.getgid()}), os.getgid()))
