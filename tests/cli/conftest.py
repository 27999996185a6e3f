"""The real executable as a fixture, with a home of its own, and tokens from the real application."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.conftest import clean_environment, run_command

from hourpass.server.issuing.minting import TokenPair
from hourpass.testing import Clock, InMemoryServer

T = TypeVar("T")

ISSUER = "http://127.0.0.1:3600"


class Hourpass:
    """Runs `hourpass` in a process. Every call says which exit code it expects, and none may show a traceback."""

    def __init__(self, home: Path) -> None:
        self.data = home / "state" / "hourpass"
        self.environment = clean_environment(XDG_STATE_HOME=str(home / "state"), HOME=str(home))

    @property
    def name(self) -> str:
        """The name of its database in the commands' output."""
        return f"sqlite:{self.data}/hourpass.db"

    def __call__(self, *arguments: str, code: int = 0, **options) -> subprocess.CompletedProcess[str]:
        options["env"] = {**self.environment, **options.get("env", {})}
        result = run_command(*arguments, check=False, **options)
        assert "Traceback" not in result.stderr, result.stderr
        assert result.returncode == code, f"{result.returncode}: {result.stdout}{result.stderr}"
        return result

    def json(self, *arguments: str, **options):
        """The output of a command with `--json`."""
        return json.loads(self(*arguments, "--json", **options).stdout)

    def create_key(self, *arguments: str) -> dict:
        return self.json("keys", "create", "--name", "test", *arguments)

    def with_server(self, work: Callable[[InMemoryServer], Awaitable[T]], *, seconds_ago: float = 0) -> T:
        """Work with a server that runs on the same data folder, and whose clock is that far behind."""
        clock = Clock(time.time_ns() // 1_000_000 - round(seconds_ago * 1000))

        async def run() -> T:
            async with InMemoryServer(clock, data=str(self.data), database_url=None, issuer=ISSUER) as server:
                return await work(server)

        return asyncio.run(run())

    def exchange(self, api_key: str, *, seconds_ago: float = 0) -> TokenPair:
        return self.with_server(lambda server: server.exchange(api_key), seconds_ago=seconds_ago)

    def refresh(self, refresh_token: bytes, *, seconds_ago: float = 0) -> TokenPair:
        return self.with_server(lambda server: server.refresh(refresh_token), seconds_ago=seconds_ago)


@pytest.fixture
def newcomer(tmp_path):
    """The command, with an empty home."""
    return Hourpass(tmp_path)


@pytest.fixture
def hourpass(newcomer):
    """The command, with an empty database in its data folder."""
    newcomer.data.mkdir(mode=0o700, parents=True)
    (newcomer.data / "hourpass.db").touch(mode=0o600)
    return newcomer


@pytest.fixture
def was_started(hourpass):
    """A server was started on that data folder: the database has its tables and secrets."""
    hourpass.with_server(lambda server: asyncio.sleep(0))


@pytest.fixture
def api_key(hourpass):
    """A key with the scope `videos.read`, in a data folder that is forty days old."""
    return hourpass.with_server(lambda server: server.create_key(scope="videos.read"), seconds_ago=40 * 86_400)


@pytest.fixture
def shell():
    """The shell and the curl that a person pastes into. Without them there is nothing to test."""
    if not (shutil.which("bash") and shutil.which("curl")):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs bash and curl")

    def paste(commands: str) -> str:
        return subprocess.run(["bash", "-c", commands], capture_output=True, text=True, check=True, timeout=30).stdout

    return paste
