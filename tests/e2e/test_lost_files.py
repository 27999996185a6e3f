"""A database whose file is deleted, moved or replaced under the server acknowledges nothing more, and is not ready."""

import shutil
import time

import apsw
import httpx2
import pytest
from tests.e2e.conftest import PLAIN, exchange, generation, refresh
from tests.webhooks.receivers import wait_until


def database_check(server) -> tuple[int, str]:
    answer = httpx2.get(f"{server.url}/health/ready", **PLAIN)
    return answer.status_code, answer.json()["checks"]["database"]


def delete(file) -> None:
    file.unlink()


def move(file) -> None:
    file.rename(file.with_name("moved"))


def replace(file) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


@pytest.mark.parametrize("name", ["hourpass.db", "hourpass.db-wal"])
@pytest.mark.parametrize("lose", [delete, move, replace])
def test_nothing_is_acknowledged_into_a_file_that_is_not_in_its_place(serve, name, lose):
    server = serve()
    api_key = server.create_key()["api_key"]
    pair = exchange(server, api_key).json()

    lose(server.data / name)

    assert exchange(server, api_key).status_code == 503
    assert refresh(server, pair["refresh_token"]).status_code == 503
    assert database_check(server) == (503, "unavailable")
    wait_until(lambda: "deleted, moved or replaced" in server.log.read_text())  # a thread writes the log


def test_it_is_noticed_without_a_request_that_writes(serve):
    server = serve()
    move(server.data / "hourpass.db")

    assert database_check(server) == (503, "unavailable")


def test_a_file_that_is_put_back_is_good_again_with_all_that_was_acknowledged(serve):
    server = serve()
    api_key = server.create_key()["api_key"]
    pair = refresh(server, exchange(server, api_key).json()["refresh_token"]).json()
    move(server.data / "hourpass.db")
    assert refresh(server, pair["refresh_token"]).status_code == 503

    (server.data / "moved").rename(server.data / "hourpass.db")
    deadline = time.monotonic() + 10
    while database_check(server) != (200, "ok"):
        assert time.monotonic() < deadline

    assert generation(refresh(server, pair["refresh_token"]).json()["refresh_token"]) == 2
    assert exchange(server, api_key).status_code == 200


def test_a_server_that_could_keep_nothing_is_not_ready_until_a_write_is_kept(serve):
    """The file is locked for long. Once it is free, the next look at readiness finds out by itself."""
    server = serve()
    api_key = server.create_key()["api_key"]
    other = apsw.Connection(str(server.data / "hourpass.db"))
    other.execute("begin immediate")
    assert exchange(server, api_key).status_code == 503

    locked = database_check(server)
    other.close()
    deadline = time.monotonic() + 10
    while database_check(server) != (200, "ok"):
        assert time.monotonic() < deadline

    assert locked == (503, "unavailable")
    assert exchange(server, api_key).status_code == 200
