"""A server on SQLite chains what it writes to the audit trail: soon, and before it stops."""

import sqlite3
import time
from contextlib import closing

import httpx2
from tests.e2e.conftest import PLAIN, exchange, new_pair, refresh


def rows(server) -> list[bool]:
    """Whether each row is chained."""
    with closing(sqlite3.connect(server.data / "hourpass.db")) as db:
        return [chained == 1 for (chained,) in db.execute("select mac is not null from audit order by n")]


def revoke_a_grant(server) -> None:
    """A row of the trail that the server writes, and no command."""
    form = {"token": new_pair(server)["refresh_token"]}
    assert httpx2.post(f"{server.url}/oauth/revoke", data=form, **PLAIN).status_code == 200


def test_what_a_server_writes_is_chained_within_a_second_and_before_it_stops(serve):
    server = serve()
    revoke_a_grant(server)
    began = time.monotonic()
    while not all(rows(server)):
        assert time.monotonic() - began < 5
        time.sleep(0.02)

    revoke_a_grant(server)
    written = len(rows(server))
    refresh(server, exchange(server, server.create_key()["api_key"]).json()["refresh_token"])
    assert len(rows(server)) == written + 1  # the key's creation: an exchange and a refresh write nothing here
    revoke_a_grant(server)
    written = len(rows(server))
    assert server.stop() == 0
    assert rows(server) == [True] * written
    assert "nobody changed" in server.command("audit", "verify").stdout


def test_what_a_killed_server_left_is_chained_by_the_next_one(serve):
    server = serve()
    revoke_a_grant(server)
    server.kill()

    server.restart()

    began = time.monotonic()
    while not all(rows(server)):
        assert time.monotonic() - began < 5
        time.sleep(0.02)
    assert "nobody changed" in server.command("audit", "verify").stdout
