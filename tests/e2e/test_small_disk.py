"""A disk that is really full: a file system of a few megabytes, in a namespace that needs no rights."""

import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from tests.conftest import HOURPASS, ServerProcess, clean_environment
from tests.e2e.conftest import exchange, generation, refresh, verify

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]

RUN = """
set -e
mount -t tmpfs -o size=3m,mode=0700 tmpfs "$1"
"$2" keys create --name test --json --data "$1" > "$3"
exec "$2" serve --data "$1" --port "$4" --admin-listen off
"""


class ServerOnASmallDisk(ServerProcess):
    """A server whose data folder is a file system of its own, which only it can see by that name."""

    def start(self) -> "ServerOnASmallDisk":
        self.data.mkdir()
        made = self.data.with_name("key.json")
        command = [*NAMESPACE, "sh", "-c", RUN, "sh", self.data, HOURPASS, made, str(self.port)]
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
        with self._filler.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass

    def make_room(self) -> None:
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return Path(f"/proc/{self.process.pid}/root{self.data}/filler")


@pytest.fixture
def server(tmp_path):
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, of util-linux; the limit on the log's size is tested all the same")
    tried = subprocess.run(
        [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no user namespaces here ({tried.stderr.strip()}); the log's limit is tested all the same")
    server = ServerOnASmallDisk(tmp_path / "disk", tmp_path / "server.log", {}, {})
    yield server.start()
    if server.process.poll() is None:
        server.kill()


def test_a_really_full_disk_is_503_and_the_server_recovers_by_itself_with_nothing_lost(server):
    pairs = [exchange(server, server.api_key).json() for _ in range(8)]
    pairs = [refresh(server, pair["refresh_token"]).json() for pair in pairs]
    server.fill()

    refused = [exchange(server, server.api_key), *(refresh(server, pair["refresh_token"]) for pair in pairs)]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 9
    assert {verify(server, pair["access_token"]) for pair in pairs} == {204}

    server.make_room()
    refreshed = [refresh(server, pair["refresh_token"]).raise_for_status().json() for pair in pairs]
    assert [generation(pair["refresh_token"]) for pair in refreshed] == [2] * 8
    assert exchange(server, server.api_key).status_code == 200


def test_while_the_disk_is_full_the_server_is_not_ready_and_afterwards_it_is_by_itself(server):
    """From the first write that failed to the first that is kept, though nobody asks for anything more."""
    assert server.ready() == (200, "ok")
    server.fill()
    assert exchange(server, server.api_key).status_code == 503

    meanwhile = []
    until = time.monotonic() + 3
    while time.monotonic() < until:
        meanwhile.append(server.ready())
        time.sleep(0.1)
    assert {status for status, _ in meanwhile} == {503}
    assert "ok" not in {word for _, word in meanwhile}

    server.make_room()
    deadline = time.monotonic() + 5
    while server.ready() != (200, "ok"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_disk_that_fills_up_under_load_loses_nothing_that_was_acknowledged(server):
    """The server's own log fills it: the first refusal comes in the middle of the work."""
    acknowledged: list[str] = []
    while (answer := exchange(server, server.api_key)).status_code == 200:
        acknowledged.append(answer.json()["refresh_token"])
        assert len(acknowledged) < 2_000
        if len(acknowledged) == 100:
            server.fill()
    assert answer.status_code == 503

    server.make_room()

    answers = [refresh(server, token) for token in acknowledged]
    assert {answer.status_code for answer in answers} == {200}
    assert {generation(answer.json()["refresh_token"]) for answer in answers} == {1}


def test_a_server_stops_cleanly_on_a_full_disk(server):
    pair = exchange(server, server.api_key).json()
    server.fill()
    assert refresh(server, pair["refresh_token"]).status_code == 503

    assert server.stop() == 0
