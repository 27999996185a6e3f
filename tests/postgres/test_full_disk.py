"""A disk of PostgreSQL's that is really full: a tablespace of a few megabytes, in a namespace that needs no rights."""

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import free_port
from tests.e2e.conftest import PLAIN, exchange, generation, refresh
from tests.postgres.conftest import Database, Nodes
from tests.postgres.test_read_only import ready

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
AS_SOMEBODY = 'mount -t tmpfs -o size=16m,mode=0777 tmpfs "$0" && exec unshare --user --map-user=1000 "$@"'


class SmallDisk:
    """A folder that only the database server sees as a file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.prefix = [*NAMESPACE, "sh", "-c", AS_SOMEBODY, folder]

    def of(self, cluster) -> "SmallDisk":
        self._filler = Path(f"/proc/{cluster.process.pid}/root{self.folder}/filler")
        return self

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path):
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, of util-linux")
    disk = SmallDisk(tmp_path / "disk")
    tried = subprocess.run([*disk.prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no user namespaces here ({tried.stderr.strip()})")
    return disk


@pytest.fixture
def nodes(serve, clusters, disk, tmp_path):
    cluster = clusters.new(prefix=disk.prefix)
    disk.of(cluster)
    cluster.run(f"create tablespace small location '{disk.folder}'")
    cluster.run("alter database template1 set tablespace small")
    database = Database(cluster)
    yield Nodes(serve, database, tmp_path / "command")
    database.close()
    cluster.stop()


def metric(admin: str, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(httpx2.get(f"http://{admin}/metrics", **PLAIN).text)
    [value] = [each.value for family in families for each in family.samples if each[:2] == (name, labels)]
    return value


def test_while_the_databases_disk_is_full_the_node_is_not_ready_and_afterwards_it_is_by_itself(nodes, disk):
    """From the first write that found no room until there is room again, although small writes are kept meanwhile."""
    admin = f"127.0.0.1:{free_port()}"
    node = nodes.start(admin_listen=admin)
    api_key = nodes.create_key()["api_key"]
    tokens = [exchange(node, api_key).json()["refresh_token"] for _ in range(4)]
    disk.fill()

    while (answer := exchange(node, api_key)).status_code == 200:
        tokens.append(answer.json()["refresh_token"])
        assert len(tokens) < 500
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    meanwhile, until = set(), time.monotonic() + 3
    while time.monotonic() < until:
        meanwhile.add((refresh(node, tokens[0]).status_code, *ready(node)))  # the token's row has room in its page
        time.sleep(0.1)
    assert meanwhile == {(200, 503, "unavailable")}
    assert metric(admin, "hourpass_store_errors_total", kind="full") > 1
    assert metric(admin, "hourpass_check_ok", check="database") == 0
    log = node.log.read_text()
    assert log.count('"unavailable"') == 1
    assert "53100" in log

    disk.make_room()
    deadline = time.monotonic() + 15
    while metric(admin, "hourpass_check_ok", check="database") == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ready(node) == (200, "ok")
    assert exchange(node, api_key).status_code == 200
    assert {generation(refresh(node, token).json()["refresh_token"]) for token in tokens[1:]} == {1}
    while "storage recovered" not in node.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
