"""Workers have one admin listener, and one scrape of it adds up all of them (decision 0038)."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import free_port
from tests.e2e.conftest import PLAIN
from tests.postgres.test_workers import until, worker_pids


class Watched:
    """A server of two workers and its admin listener."""

    def __init__(self, nodes) -> None:
        self.admin = f"127.0.0.1:{free_port()}"
        self.server = nodes.start(workers=2, admin_listen=self.admin)
        until(lambda: self.server.log.read_text().count('"listening"') == 2)
        self.api_key = nodes.create_key()["api_key"]

    def scrape(self) -> dict[tuple[str, ...], float]:
        """Every series with its value. Each scrape is a connection of its own."""
        text = httpx2.get(f"http://{self.admin}/metrics", **{**PLAIN, "timeout": 5}).raise_for_status().text
        families = text_string_to_metric_families(text)
        return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}

    def exchanged(self) -> float:
        return self.scrape()["hourpass_exchanges_total",]

    def exchange(self, times: int) -> None:
        """On connections of their own, which the kernel shares out."""

        def ask(_: int) -> None:
            httpx2.post(f"{self.server.url}/auth/api-key", json={"apiKey": self.api_key}, **PLAIN).raise_for_status()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(ask, range(times)))


def test_one_scrape_adds_up_all_workers_and_a_worker_that_is_killed_leaves_its_counts(nodes):
    watched = Watched(nodes)

    watched.exchange(120)
    now = watched.scrape()
    assert now["hourpass_exchanges_total",] == 120
    assert now["hourpass_requests_total", "/auth/api-key", "ok"] == 120
    assert now["hourpass_request_duration_seconds_count", "/auth/api-key"] == 120
    assert now["hourpass_workers",] == now["hourpass_workers_answering",] == 2
    assert {watched.exchanged() for _ in range(20)} == {120}

    for killed in (1, 2):
        before = worker_pids(watched.server)
        os.kill(before[0], signal.SIGKILL)
        seen = []
        until(
            lambda before=before, seen=seen: (
                seen.append(watched.exchanged())
                or (len(worker_pids(watched.server)) == 2 and before[0] not in worker_pids(watched.server))
            )
        )
        assert set(seen) == {120}
        assert watched.scrape()["hourpass_worker_ends_total",] == killed

    until(lambda: watched.scrape()["hourpass_workers_answering",] == 2)
    watched.exchange(30)
    assert watched.exchanged() == 150


def test_a_worker_that_hangs_does_not_hang_the_scrape_and_is_missed(nodes):
    watched = Watched(nodes)
    watched.exchange(40)
    [hanging, _] = worker_pids(watched.server)

    os.kill(hanging, signal.SIGSTOP)
    try:
        assert {watched.exchanged() for _ in range(20)} == {40}
        until(lambda: watched.scrape()["hourpass_workers_answering",] == 1)
    finally:
        os.kill(hanging, signal.SIGCONT)

    until(lambda: watched.scrape()["hourpass_workers_answering",] == 2)
