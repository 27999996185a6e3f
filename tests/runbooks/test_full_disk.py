"""docs/runbooks/full-disk.md, on a server whose disk is full."""

import pytest
from tests.e2e.conftest import exchange, generation, refresh, verify
from tests.e2e.small_disk import ServerOnASmallDisk, require_small_disks
from tests.runbooks.runbook import DATA


@pytest.fixture
def server(tmp_path, prometheus):
    require_small_disks(tmp_path)
    server = ServerOnASmallDisk(tmp_path / "disk", tmp_path / "server.log", {"admin-listen": prometheus.target()}, {})
    yield server.start()
    server.kill()


def test_a_full_disk_raises_the_alarm_and_room_is_all_that_it_takes(server, prometheus, open_runbook, await_symptom):
    pair = exchange(server, server.api_key).json()
    prometheus.await_scraped(server.admin)
    server.fill()
    server.filler.rename(server.disk / "ballast")
    assert refresh(server, pair["refresh_token"]).status_code == 503
    assert verify(server, pair["access_token"]) == 204
    book = open_runbook("full-disk", server, {"-l 200M": "-l 64K"})
    book.shell = [*server.inside(), *book.shell]
    prometheus.wait(lambda: "HourpassDiskFull" in prometheus.firing(server.admin), "the alert does not fire", 20)
    await_symptom(book, server)

    said = book.run()
    book.await_over()
    assert "HourpassDiskFull" not in prometheus.firing(server.admin)

    assert "100%" in said[f"df -h {DATA}"]
    assert "ballast" in said[f"du -xah {DATA} | sort -h | tail"]
    assert (server.disk / "ballast").stat().st_size == 64 * 1024
    assert generation(refresh(server, pair["refresh_token"]).json()["refresh_token"]) == 1
