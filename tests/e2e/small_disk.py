"""A server whose disk is really small: a file system of a few megabytes, in a namespace that needs no rights."""

import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from tests.conftest import HOURPASS, ServerProcess, clean_environment

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]

RUN = """
set -e
mount -t tmpfs -o size=3m,mode=0700 tmpfs "$1"
"$2" keys create --name test --json --data "$1" > "$3"
exec "$2" serve --data "$1" --port "$4" --admin-listen "$5"
"""


class ServerOnASmallDisk(ServerProcess):
    """A server whose data folder is a file system of its own, which only it can see by that name."""

    def start(self) -> "ServerOnASmallDisk":
        self.data.mkdir()
        made = self.data.with_name("key.json")
        command = [
            *NAMESPACE,
            "sh",
            "-c",
            RUN,
            "sh",
            self.data,
            HOURPASS,
            made,
            str(self.port),
            self._flags["admin-listen"],
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_environment())
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        self.api_key = json.loads(made.read_text())["api_key"]
        return self

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return self.ready()[0] == 200
        return False

    def ready(self) -> tuple[int, str]:
        """The status, and what is said of the database."""
        answer = httpx2.get(f"{self.url}/health/ready", timeout=5, trust_env=False)
        return answer.status_code, answer.json()["checks"]["database"]

    def fill(self) -> None:
        """Take all the space that is left."""
        with self.filler.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass

    def make_room(self) -> None:
        self.filler.unlink()

    def inside(self) -> list[str]:
        """The prefix of a command that sees the disk as the server does."""
        return ["nsenter", f"--target={self.process.pid}", "--user", "--preserve-credentials", "--mount"]

    @property
    def disk(self) -> Path:
        """The data folder, as it can be reached from outside."""
        return Path(f"/proc/{self.process.pid}/root{self.data}")

    @property
    def filler(self) -> Path:
        return self.disk / "filler"


def require_small_disks(folder: Path) -> None:
    """Skip the test if this machine has no namespaces, or no right to make one."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, of util-linux; the limit on the log's size is tested all the same")
    tried = subprocess.run(
        [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no user namespaces here ({tried.stderr.strip()}); the log's limit is tested all the same")
