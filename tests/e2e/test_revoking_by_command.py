"""Commands work on the database while a server runs on it, and the server takes note within a second."""

import json
import time

import pytest
from tests.conftest import run_command
from tests.e2e.conftest import claims_of, exchange, refresh, verify

WITHIN = 1.0
"""Seconds from the command's exit to the refusal."""


def revoke_token(server, token: str) -> None:
    """By standard input, out of sight of the process list."""
    run_command("tokens", "revoke", "-", "--data", str(server.data), input=token)


REVOKE = {
    "its key": lambda server, pair: server.command("keys", "revoke", claims_of(pair["access_token"])["client_id"]),
    "its grant": lambda server, pair: server.command("grants", "revoke", claims_of(pair["access_token"])["sid"]),
    "its refresh token": lambda server, pair: revoke_token(server, pair["refresh_token"]),
    "the token itself": lambda server, pair: revoke_token(server, pair["access_token"]),
}
REFUSED_AS = {
    "its key": "key_disabled",
    "its grant": "revoked",
    "its refresh token": "revoked",
    "the token itself": None,
}


@pytest.mark.parametrize("what", REVOKE)
def test_an_access_token_is_refused_within_a_second_after_a_command_revoked(serve, what):
    server = serve()
    api_key = server.create_key()["api_key"]
    pair, bystander = exchange(server, api_key).json(), exchange(server, server.create_key()["api_key"]).json()
    assert verify(server, pair["access_token"]) == 204

    REVOKE[what](server, pair)
    exited = time.monotonic()
    while verify(server, pair["access_token"]) != 401:
        assert time.monotonic() - exited < WITHIN

    assert verify(server, bystander["access_token"]) == 204
    answer = refresh(server, pair["refresh_token"])
    assert answer.json().get("reason") == REFUSED_AS[what]
    assert answer.status_code == (400 if REFUSED_AS[what] else 200)
    assert exchange(server, api_key).status_code == (400 if what == "its key" else 200)


def test_a_key_that_a_command_made_works_at_once_and_not_after_its_end(serve):
    server = serve()
    made = server.create_key()

    pair = exchange(server, made["api_key"]).raise_for_status().json()
    server.command("keys", "revoke", made["key_id"])

    refused = exchange(server, made["api_key"])
    assert refused.json()["title"] == "The user credentials were incorrect."
    assert refresh(server, pair["refresh_token"]).json()["reason"] == "key_disabled"


def test_after_a_leak_the_old_key_and_its_tokens_are_refused_within_a_second_and_the_new_key_works(serve):
    server = serve()
    made = server.create_key()
    pair = exchange(server, made["api_key"]).raise_for_status().json()
    assert verify(server, pair["access_token"]) == 204

    new = json.loads(server.command("keys", "rotate", made["key_id"], "--now", "--json").stdout)["api_key"]
    exited = time.monotonic()
    fresh = exchange(server, new).raise_for_status().json()
    assert verify(server, fresh["access_token"]) == 204
    while verify(server, pair["access_token"]) != 401:
        assert time.monotonic() - exited < WITHIN

    assert exchange(server, made["api_key"]).json()["reason"] == "rotated"
    assert refresh(server, pair["refresh_token"]).json()["reason"] == "revoked"
    assert verify(server, refresh(server, fresh["refresh_token"]).json()["access_token"]) == 204
