"""From the revoke call's 200 to the refusal at every verifier: the real server as a process, verifiers beside it."""

import time

import httpx2
import pytest
from tests.verifier.conftest import refuses, until

from hourpass.verifier import Verifier


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def http(server):
    with httpx2.Client(base_url=server.url) as http:
        yield http


@pytest.fixture
def verifiers(server):
    made = [Verifier(issuer=server.url, audience=server.url) for _ in range(5)]
    yield made
    for verifier in made:
        verifier.close()


def tokens(http: httpx2.Client, api_key: str) -> dict[str, str]:
    return http.post("/auth/api-key", json={"apiKey": api_key}).json()


def everywhere(verifiers: list[Verifier], token: str) -> float:
    return until(lambda: all(refuses(verifier, token, "revoked") for verifier in verifiers))


def test_a_token_revoked_by_its_client_is_refused_everywhere_within_a_second(server, http, verifiers):
    """verify.md, "Which way": within a second of the revoke call's 200."""
    token = tokens(http, server.create_key()["api_key"])["access_token"]
    assert {verifier.verify(token).iss for verifier in verifiers} == {server.url}

    assert http.post("/oauth/revoke", data={"token": token}).status_code == 200

    assert everywhere(verifiers, token) < 1


def test_a_key_revoked_by_a_command_in_another_process_is_refused_everywhere_within_a_second(server, http, verifiers):
    key = server.create_key()
    token = tokens(http, key["api_key"])["access_token"]
    assert {verifier.verify(token).client_id for verifier in verifiers} == {key["key_id"]}

    server.command("keys", "revoke", key["key_id"])

    assert everywhere(verifiers, token) < 1


def test_a_verifier_refuses_a_refresh_token(server, http, verifiers):
    pair = tokens(http, server.create_key()["api_key"])

    assert verifiers[0].verify(pair["access_token"]).iss == server.url
    assert refuses(verifiers[0], pair["refresh_token"], "signature")


def test_after_a_restart_the_verifiers_follow_again(server, http, verifiers):
    pair = tokens(http, server.create_key()["api_key"])
    for verifier in verifiers:
        verifier.verify(pair["access_token"])

    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5, "every reader that waited for news was answered"
    server.restart()
    http.post("/oauth/revoke", data={"token": pair["refresh_token"]})

    until(lambda: all(refuses(verifier, pair["access_token"], "revoked") for verifier in verifiers), 10)
