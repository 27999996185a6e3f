"""Fixtures that start what the tests talk to: the real command as a real process, on loopback, with its own folder."""

import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, settings
from tests.warm import WarmCommand

from hourpass.core.key_shape import BEGINNING

LOOKS_SECRET = re.compile(BEGINNING.encode() + rb"[0-9A-Za-z]{12}_[0-9A-Za-z]{20,}|eyJ[\w-]{20,}\.[\w-]+")
"""Patterns that no log of any test may hold."""

HOURPASS = Path(sys.executable).with_name("hourpass")

# Time is never what a test is about, and a machine may be busy with others.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell ignores two of them in what it starts with `&`, nohup the third, and all that we start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """The longest tests come first. At the end, the other workers would wait for them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def anyio_backend():
    """Async tests run on asyncio: our front knows nothing else."""
    return "asyncio"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOURPASS_")}
    return {**kept, **more}


class ServerProcess:
    """`hourpass serve` as a process. Its log lies in `log`. `restart` starts it again on the same folder and port.

    `command` may be another program that takes the same flags. It has started once `awaited` answers with 200.
    """

    def __init__(
        self,
        data: Path,
        log: Path,
        flags: dict[str, object],
        environment: dict[str, str],
        command: Sequence[str | Path] = (HOURPASS, "serve"),
        awaited: str = "/health/ready",
    ) -> None:
        self.data = data
        self.log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self.output: int | None = None
        """A descriptor for what the process prints and logs, if not the file."""
        self._program: dict[str, str] = {}
        self._command = command
        self._awaited = awaited
        self._flags = {"data": data, "port": self.port, "admin-listen": "off", **flags}
        self.admin = str(self._flags["admin-listen"])
        if "listen" in flags:  # beside the port that the tests ask
            self._flags["listen"] = f"127.0.0.1:{self.port} {flags['listen']}"

    def start(self) -> "ServerProcess":
        flags = [part for name, value in self._flags.items() for part in (f"--{name}", str(value))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, *flags],
                stdout=self.output or log,
                stderr=self.output or log,
                env=clean_environment(**self._environment, **self._program),
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
            try:
                if httpx2.get(f"{self.url}{self._awaited}", timeout=1, verify=False).status_code == 200:
                    return self
            except httpx2.TransportError:
                time.sleep(0.02)
        raise RuntimeError("the server did not become ready")

    def stop(self) -> int:
        """TERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> "ServerProcess":
        return self.start()

    def replace(self, program: dict[str, str]) -> None:
        """Drain, and start as another program: one that these variables of the environment choose."""
        assert self.stop() == 0
        self._program = program
        self.start()

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Another `hourpass` command on the same data folder, in a process of its own."""
        return run_command(*arguments, "--data", str(self.data), check=check)

    def create_key(self, *arguments: str) -> dict[str, str]:
        """`hourpass keys create --json`, while the server runs."""
        return json.loads(self.command("keys", "create", "--name", "test", "--json", *arguments).stdout)


@cache
def warm() -> WarmCommand:
    return WarmCommand()


def run_command(*arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    """`hourpass` with these arguments, as text, in a process of its own."""
    options.setdefault("env", clean_environment())
    if "PYTHONPROFILEIMPORTTIME" in options["env"]:  # only a new interpreter heeds it
        result = subprocess.run([HOURPASS, *arguments], capture_output=True, text=True, **options)
    else:
        result = warm().run(arguments, **options)
    if check and result.returncode:
        raise AssertionError(f"hourpass {arguments} ended with {result.returncode}: {result.stderr}")
    return result


@contextmanager
def serving(folder: Path) -> Iterator[Callable[..., ServerProcess]]:
    """A factory of running servers. All are ended with the context, and no log of theirs may hold a secret."""
    servers: list[ServerProcess] = []

    def start(
        *,
        environment: dict[str, str] | None = None,
        output: int | None = None,
        program: dict[str, Any] | None = None,
        **flags: object,
    ) -> ServerProcess:
        named = {name.replace("_", "-"): value for name, value in flags.items()}
        server = ServerProcess(
            folder / f"data-{len(servers)}",
            folder / f"server-{len(servers)}.log",
            named,
            environment or {},
            **(program or {}),
        )
        server.output = output
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()
    leaked = [server.log.name for server in servers if LOOKS_SECRET.search(server.log.read_bytes())]
    assert not leaked, f"a key or a token stands in {leaked}"
    # A client that was cut off in the middle leaves its socket to the collector, and that would blame an innocent test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def serve(tmp_path):
    """A factory of running servers: `serve(retry_window=5)`. All are ended with the test."""
    with serving(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory):
    """The same for all tests of a module. They leave the servers as they find them."""
    with serving(tmp_path_factory.mktemp("servers")) as start:
        yield start


class FullPipe:
    """A pipe that takes nothing more until somebody reads it."""

    def __init__(self):
        self._reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, b"-" * 4_095 + b"\n")
        except BlockingIOError:
            os.set_blocking(self.writer, True)

    def lines_until(self, event: str) -> list[dict]:
        """Read what was logged up to an event."""
        read = b""
        deadline = time.monotonic() + 20
        while f'"{event}"'.encode() not in read or not read.endswith(b"\n"):
            assert select.select([self._reader], (), (), deadline - time.monotonic())[0], read[-300:]
            read += os.read(self._reader, 65_536)
        return [json.loads(line) for line in read.splitlines() if line.startswith(b"{")]

    def close(self):
        os.close(self._reader)
        os.close(self.writer)


@pytest.fixture
def full_pipe():
    pipe = FullPipe()
    yield pipe
    pipe.close()
