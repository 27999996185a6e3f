"""A real server goes on while its secrets are replaced beside it, without a restart."""

import base64
import json
import os
import time

import httpx2
import pytest
from tests.conftest import clean_environment, run_command
from tests.e2e.conftest import exchange, new_pair, refresh, verify


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kids(server) -> list[str]:
    return [key["kid"] for key in httpx2.get(f"{server.url}/.well-known/jwks.json", verify=False).json()["keys"]]


def test_a_server_reads_the_file_again_when_it_needs_the_new_master_key(serve):
    server = serve()
    pair = new_pair(server)
    server.command("master-key", "rotate", "--yes")
    assert refresh(server, pair["refresh_token"]).status_code == 200

    server.command("signing-keys", "rotate")

    until(lambda: len(kids(server)) == 2)
    assert verify(server, new_pair(server)["access_token"]) == 204
    server.stop()
    server.restart()
    assert verify(server, pair["access_token"]) == 204


def test_a_server_that_has_only_the_old_master_key_goes_on_until_it_is_stopped(serve):
    """A node that somebody forgot. It cannot start again, and says which key it needs."""
    old, new = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    server = serve(environment={"HOURPASS_MASTER_KEY": old})
    give = clean_environment(HOURPASS_MASTER_KEY=old, HOURPASS_DATA=str(server.data))
    api_key = json.loads(run_command("keys", "create", "--name", "x", "--json", env=give).stdout)["api_key"]
    pair = exchange(server, api_key).json()
    run_command("master-key", "rotate", env={**give, "HOURPASS_MASTER_KEY": f"{new} {old}"})
    # It looks at the database several times a second.
    began = time.monotonic()
    until(lambda: time.monotonic() > began + 1)

    assert refresh(server, pair["refresh_token"]).status_code == 200
    assert verify(server, pair["access_token"]) == 204
    assert exchange(server, api_key).status_code == 200
    assert server.stop() == 0
    with pytest.raises(RuntimeError, match="it needs the key"):
        server.restart()
