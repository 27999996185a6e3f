"""The first lines of a server: its addresses, its database, its user, and once that a new key needs a backup."""

import json
import time
from importlib.metadata import version

from tests.postgres.cluster import NEWEST, clusters_of


def events(server, event: str) -> list[dict]:
    """The log lines of an event. A server may be ready a moment before it says so."""
    deadline = time.monotonic() + 10
    found: list[dict] = []
    while not found and time.monotonic() < deadline:
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        found = [line for line in lines if line["event"] == event]
        time.sleep(0.02)
    return found


def test_the_line_says_addresses_issuer_database_and_version(serve):
    server = serve(issuer="https://auth.example.com", admin_listen="127.0.0.1:0")

    (said,) = events(server, "listening")

    admin_host, _, admin_port = said["admin"].rpartition(":")
    assert admin_host == "127.0.0.1"
    assert int(admin_port) > 0
    assert (said["listen"], said["issuer"]) == (f"127.0.0.1:{server.port}", "https://auth.example.com")
    assert said["database"] == f"sqlite:{server.data}/hourpass.db"
    assert said["version"] == version("hourpass")


def test_an_admin_listener_that_is_off_is_said_to_be_off(serve):
    (said,) = events(serve(), "listening")

    assert said["admin"] == "off"
    assert said["issuer"].startswith("http://127.0.0.1:")


def test_a_databases_password_is_not_said(serve, request):
    cluster = clusters_of(request.config).shared(NEWEST)
    server = serve(database=cluster.url(cluster.create_database(), password="hunter2"))

    (said,) = events(server, "listening")

    assert said["database"].startswith("postgresql://")
    assert "@" not in said["database"]
    assert "hunter2" not in server.log.read_text()


def test_the_first_start_says_that_the_master_key_was_made_and_must_be_backed_up(serve):
    server = serve()

    (said,) = events(server, "master key made")

    assert said["file"] == f"{server.data}/master.key"
    assert "back it up" in said["advice"]
    server.stop()
    server.restart()
    assert len(events(server, "master key made")) == 1


def test_variables_that_are_passed_over_are_said_once(serve):
    server = serve(environment={"HOURPASS_PORT": "tcp://10.0.0.11:3600"})

    (said,) = events(server, "settings")

    assert said["note"].startswith("HOURPASS_PORT is passed over")
