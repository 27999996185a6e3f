"""A disk that is really full."""

import time

import pytest
from tests.e2e.conftest import exchange, generation, refresh, verify
from tests.e2e.small_disk import ServerOnASmallDisk, require_small_disks


@pytest.fixture
def server(tmp_path):
    require_small_disks(tmp_path)
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
