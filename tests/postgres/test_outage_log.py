"""An outage of the database is told when it begins and when it is over, however often clients ask meanwhile."""

import json
import os
import signal

import httpx2
from tests.conftest import free_port
from tests.e2e.conftest import exchange, live, refresh
from tests.postgres.conftest import manager_told
from tests.postgres.test_full_disk import metric
from tests.postgres.test_workers import until, worker_pids

WORKERS = 2


def about_trouble(server) -> list[str]:
    """The events in the server's log from `listening` on, without those that tell of its own start."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line["event"] for line in lines if line["event"] != "listening"]


def test_an_outage_has_one_line_at_its_beginning_and_one_at_its_end_for_each_worker(nodes, own_database):
    server = nodes.start(workers=WORKERS)
    pair = exchange(server, nodes.create_key()["api_key"]).json()

    own_database.cluster.stop()
    answers = [refresh(server, pair["refresh_token"]).status_code for _ in range(40)]
    until(lambda: about_trouble(server).count("unavailable") == WORKERS)
    own_database.cluster.start()
    until(lambda: about_trouble(server).count("storage recovered") == WORKERS)

    assert answers == [503] * 40
    assert sorted(about_trouble(server)) == ["storage recovered"] * WORKERS + ["unavailable"] * WORKERS
    until(lambda: told(nodes) == ["storage.recovered"] * WORKERS + ["storage.trouble"] * WORKERS)


def told(nodes) -> list[str]:
    """The events of the trail about the outage: a pair of each worker."""
    return sorted(each["event"] for each in json.loads(nodes.command("audit", "--json")) if "storage" in each["event"])


def test_an_outage_shows_in_the_metrics_although_nobody_asks_for_anything(nodes, own_database):
    admin = f"127.0.0.1:{free_port()}"
    nodes.start(admin_listen=admin)
    assert metric(admin, "hourpass_check_ok", check="database") == 1

    own_database.cluster.stop()
    until(lambda: metric(admin, "hourpass_check_ok", check="database") == 0)
    assert metric(admin, "hourpass_revocations_age_seconds") > 0
    assert metric(admin, "hourpass_store_errors_total", kind="unreachable") > 0

    own_database.cluster.start()
    until(lambda: metric(admin, "hourpass_check_ok", check="database") == 1)


def status(server, token: str) -> int | None:
    """A refresh's status. None if the connection broke."""
    try:
        return refresh(server, token).status_code
    except httpx2.TransportError:
        return None


def test_an_outage_that_nobody_reads_about_is_503_and_ends(nodes, own_database, full_pipe):
    server = nodes.start(output=full_pipe.writer, workers=2)
    token = exchange(server, nodes.create_key()["api_key"]).json()["refresh_token"]

    own_database.cluster.stop()
    answers = {refresh(server, token).status_code for _ in range(20)}
    assert live(server) == 200
    own_database.cluster.start()
    until(lambda: refresh(server, token).status_code == 200)

    assert answers == {503}
    lines = full_pipe.lines_until("storage recovered")
    assert 1 <= sum(line["event"] == "unavailable" for line in lines) <= 2


def test_the_parent_of_workers_replaces_them_although_nobody_reads_its_log(nodes, full_pipe, manager):
    receiver, environment = manager
    alone = {"NOTIFY_SOCKET": environment["NOTIFY_SOCKET"]}
    server = nodes.start(output=full_pipe.writer, workers=2, environment=alone)
    manager_told(receiver, "READY=1")  # a worker that ends before all of them listen ends the server
    token = exchange(server, nodes.create_key()["api_key"]).json()["refresh_token"]

    for pid in worker_pids(server):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(worker_pids(server)) == 2 and status(server, token) == 200)

    assert server.stop() == 0
