"""Storage trouble is 503, never bad credentials, and it passes by itself (contract.md, promise 3)."""

import asyncio
import json
import resource
import time
from collections.abc import Callable
from datetime import datetime

import apsw
import httpx2
import pytest
from tests.conftest import free_port
from tests.e2e.conftest import PLAIN, allow_descriptors, exchange, generation, new_pair, refresh, verify

from hourpass.server.telemetry.limited_log import SETTLED

PAIR = ("storage.trouble", "storage.recovered")

LOCKED_FOR = 4.0
"""Seconds. The server waits for half of that before it tells a caller to come back."""


@pytest.mark.anyio
async def test_while_another_process_holds_the_database_all_that_writes_is_503_and_verifying_goes_on(serve):
    server = serve()
    api_key = server.create_key()["api_key"]
    pair, doomed = exchange(server, api_key).json(), exchange(server, api_key).json()
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    async with httpx2.AsyncClient(base_url=server.url, timeout=15) as http:

        async def ask_everything() -> list[httpx2.Response]:
            return await asyncio.gather(
                http.post("/auth/api-key", json={"apiKey": api_key}),
                http.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]}),
                http.post("/oauth/token", data=form),
                http.post("/oauth/revoke", data={"token": doomed["access_token"]}),
            )

        other = apsw.Connection(str(server.data / "hourpass.db"))
        other.execute("begin immediate")
        locked = time.monotonic()
        asking = asyncio.create_task(ask_everything())
        verified = set()
        while not asking.done() or time.monotonic() - locked < LOCKED_FOR:
            verified.add((await http.get("/auth/verify", headers=bearer)).status_code)
            await asyncio.sleep(0.05)
        other.close()
        recovered = await ask_everything()

    refused = asking.result()
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 4
    assert verified == {204}
    assert [answer.status_code for answer in recovered] == [200] * 4
    assert {generation(answer.json()["refresh_token"]) for answer in recovered[1:3]} == {1}


def test_a_disk_that_is_full_is_503_and_recovers_with_nothing_lost(serve):
    """The log may not grow past its size, as on a full disk. Then it may again."""
    server = serve()
    api_key = server.create_key()["api_key"]
    pairs = [exchange(server, api_key).json() for _ in range(4)]
    pairs[1:3] = [refresh(server, pair["refresh_token"]).json() for pair in pairs[1:3]]
    size = (server.data / "hourpass.db-wal").stat().st_size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    refused = [exchange(server, api_key), *(refresh(server, pair["refresh_token"]) for pair in pairs)]
    verified = verify(server, pairs[0]["access_token"])
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 5
    assert verified == 204
    refreshed = [refresh(server, pair["refresh_token"]).raise_for_status().json() for pair in pairs]
    assert [generation(pair["refresh_token"]) for pair in refreshed] == [1, 2, 2, 1]
    assert exchange(server, api_key).status_code == 200


def test_a_database_that_only_reads_has_not_recovered(serve):
    server = serve()
    api_key = server.create_key()["api_key"]
    other = apsw.Connection(str(server.data / "hourpass.db"))
    other.execute("begin immediate")

    assert exchange(server, api_key).status_code == 503
    time.sleep(SETTLED + 1)
    meanwhile = server.log.read_text()
    other.close()
    deadline = time.monotonic() + 20
    while "storage recovered" not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert meanwhile.count('"unavailable"') == 1
    assert "storage recovered" not in meanwhile


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_full_disk_that_only_a_check_of_readiness_met_is_in_the_log_with_its_end(serve):
    server = serve(program={"awaited": "/health/live"})
    size = (server.data / "hourpass.db-wal").stat().st_size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    assert httpx2.get(f"{server.url}/health/ready", **PLAIN).status_code == 503
    until(lambda: '"unavailable"' in server.log.read_text())
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: '"storage recovered"' in server.log.read_text())

    assert server.log.read_text().count('"unavailable"') == 1


def test_trouble_is_a_pair_of_events_once_it_is_over_with_the_time_at_which_it_began(serve):
    server = serve()
    api_key = server.create_key()["api_key"]

    def told() -> list[dict]:
        return [each for each in json.loads(server.command("audit", "--json").stdout) if each["event"] in PAIR]

    for times in (1, 2):
        size = (server.data / "hourpass.db-wal").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        before = time.time()
        until(lambda: exchange(server, api_key).status_code == 503)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda times=times: len(told()) == 2 * times)

        trouble, recovered = told()[-2:]
        assert (trouble["event"], recovered["event"], recovered["actor"]) == (*PAIR, "server")
        assert recovered["began"] == trouble["at"] < recovered["at"]
        assert before - 1 <= datetime.fromisoformat(trouble["at"]).timestamp() <= before + 5


def test_a_database_that_lacks_a_migration_shows_in_the_metrics_although_nobody_asks(serve):
    """As after the restore of an older one under a server that runs."""
    admin = f"127.0.0.1:{free_port()}"
    server = serve(admin_listen=admin)

    def shown() -> str:
        lines = httpx2.get(f"http://{admin}/metrics", **PLAIN).text.splitlines()
        [line] = [line for line in lines if line.startswith('hourpass_check_ok{check="migrations"}')]
        return line.split()[1]

    assert shown() == "1"
    with apsw.Connection(str(server.data / "hourpass.db")) as db:
        [row] = db.execute("delete from migrations where name = (select max(name) from migrations) returning *")
    until(lambda: shown() == "0")

    checks = httpx2.get(f"{server.url}/health/ready", **PLAIN).json()["checks"]
    assert checks["migrations"] == "1 pending"

    with apsw.Connection(str(server.data / "hourpass.db")) as db:
        db.execute(f"insert into migrations values ({', '.join('?' * len(row))})", row)
    assert httpx2.get(f"{server.url}/health/ready", **PLAIN).status_code == 200
    assert shown() == "1"


def test_a_server_that_is_killed_on_a_full_disk_comes_back_with_all_that_was_acknowledged(serve):
    server = serve()
    pair = new_pair(server)
    newer = refresh(server, pair["refresh_token"]).json()
    size = (server.data / "hourpass.db-wal").stat().st_size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    assert refresh(server, newer["refresh_token"]).status_code == 503

    server.kill()
    server.restart()

    assert verify(server, newer["access_token"]) == 204
    assert generation(refresh(server, newer["refresh_token"]).json()["refresh_token"]) == 2


def test_a_server_without_a_free_descriptor_never_fails_its_clients_and_heals(serve):
    server = serve()
    api_key = server.create_key()["api_key"]
    with httpx2.Client(base_url=server.url, **PLAIN) as client:
        pair = client.post("/auth/api-key", json={"apiKey": api_key}).raise_for_status().json()
        allow_descriptors(server, 0)

        answers = [
            client.post("/auth/api-key", json={"apiKey": api_key}),
            client.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]}),
            client.post("/oauth/revoke", data={"token": pair["access_token"]}),
            client.get("/auth/revocations"),
            client.get("/health/live"),
        ]
        allow_descriptors(server, None)
        refreshed = client.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})

    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert refreshed.status_code == 200
    assert exchange(server, api_key).status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
