"""`hourpass serve --workers`: processes on one port, each a node of its own, that end and begin as one server."""

import asyncio
import os
import signal
import socket
import time
from base64 import b64encode
from pathlib import Path

import httpx2
import pytest
from tests.conftest import clean_environment, free_port, run_command
from tests.e2e.conftest import PLAIN
from tests.postgres.conftest import manager_told
from tests.postgres.test_kills import crowd_on, lost, require_nothing_lost, until_refreshed
from tests.tracing.collector import Collector


def worker_pids(server) -> list[int]:
    parent = server.process.pid
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])
def test_being_told_to_stop_drains_every_worker_and_is_a_success(nodes, number):
    server = nodes.start(workers=2)
    until(lambda: server.log.read_text().count('"listening"') == 2)
    workers = worker_pids(server)

    server.process.send_signal(number)

    assert server.process.wait(30) == 0
    assert not any(map(is_running, workers))
    log = server.log.read_text()
    assert log.count('"stopped"') == 2
    assert "Traceback" not in log


def test_workers_end_when_their_parent_is_killed(nodes):
    server = nodes.start(workers=2)
    until(lambda: server.log.read_text().count('"listening"') == 2)
    workers = worker_pids(server)

    server.kill()

    until(lambda: not any(map(is_running, workers)))
    assert server.log.read_text().count('"stopped"') == 2


def test_a_worker_that_does_not_start_is_a_failure_in_words_and_leaves_nothing_running(database, tmp_path):
    admin = free_port()
    flags = ("--workers", "2", "--admin-listen", f"127.0.0.1:{admin}", "--port", "0", "--database", database.url)
    environment = clean_environment(HOURPASS_MASTER_KEY=b64encode(bytes(32)).decode())
    run_command("keys", "create", "--name", "x", "--database", database.url, "--data", str(tmp_path / "a"))

    result = run_command("serve", *flags, "--data", str(tmp_path / "data"), check=False, env=environment)

    assert result.returncode == 1
    assert "the worker cannot serve" in result.stderr
    assert "hourpass: a worker did not start: see the lines above" in result.stderr
    socket.create_server(("127.0.0.1", admin)).close()


@pytest.mark.anyio
async def test_a_worker_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(nodes):
    server = nodes.start(workers=2)

    async with crowd_on(nodes, clients=16, pause=0.01) as crowd:
        for enough in (100, 200, 300):
            await until_refreshed(crowd, enough)
            before = worker_pids(server)
            os.kill(before[0], signal.SIGKILL)
            await asyncio.to_thread(
                until, lambda before=before: len(worker_pids(server)) == 2 and before[0] not in worker_pids(server)
            )

    require_nothing_lost(nodes, crowd)
    assert lost(crowd) >= 1
    assert server.log.read_text().count('"a worker ended"') == 3


def test_each_worker_sends_its_own_spans(nodes):
    """The SDK starts a thread, so it is set up after the fork."""
    collector = Collector()
    server = nodes.start(environment=collector.environment, workers=2, tracing="otlp")
    until(lambda: server.log.read_text().count('"listening"') == 2)

    def both_were_asked() -> bool:
        httpx2.get(f"{server.url}/openapi.json", **PLAIN)  # each on a connection of its own
        return len({span.service["service.instance.id"] for span in collector.spans}) == 2

    try:
        until(both_were_asked)
    finally:
        collector.close()


def test_a_worker_that_hangs_is_replaced_and_the_service_manager_sees_a_server_that_lives(nodes, manager):
    """Ready is said once all workers are."""
    receiver, environment = manager
    server = nodes.start(workers=2, environment=environment)
    assert f"STATUS=listening on 127.0.0.1:{server.port}" in manager_told(receiver, "READY=1")
    assert server.log.read_text().count('"listening"') == 2
    hung, other = worker_pids(server)

    os.kill(hung, signal.SIGSTOP)

    until(lambda: len(worker_pids(server)) == 2 and hung not in worker_pids(server))
    assert other in worker_pids(server)
    assert '"a worker hangs"' in server.log.read_text()
    assert "WATCHDOG=1" in manager_told(receiver, "WATCHDOG=1")
    assert server.stop() == 0
    assert "STATUS=draining" in manager_told(receiver, "STOPPING=1")


def test_the_service_manager_is_told_how_many_workers_cannot_reach_the_database(nodes, manager):
    receiver, environment = manager
    server = nodes.start(workers=2, environment=environment)
    manager_told(receiver, "READY=1")

    nodes._database.cluster.stop()
    manager_told(receiver, "STATUS=trouble with the database: requests get 503 until it is over (2 of 2 workers)")
    nodes._database.cluster.start()

    manager_told(receiver, "STATUS=listening")
    assert server.stop() == 0
