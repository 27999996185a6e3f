"""The promises of contract.md, against a real server process on a real disk: concurrency, lost responses, replay."""

import asyncio
import json
import time

import httpx2
import pytest
from tests.e2e.conftest import generation, new_pair, refresh, verify


@pytest.mark.anyio
async def test_64_refreshes_of_one_token_at_once_all_get_the_same_successor(serve):
    server = serve()
    token = new_pair(server)["refresh_token"]

    async with httpx2.AsyncClient(base_url=server.url, limits=httpx2.Limits(max_connections=64)) as http:
        answers = await asyncio.gather(*(http.post("/auth/refresh", json={"refreshToken": token}) for _ in range(64)))

    assert {answer.status_code for answer in answers} == {200}
    assert {generation(answer.json()["refresh_token"]) for answer in answers} == {1}
    assert refresh(server, answers[0].json()["refresh_token"]).status_code == 200


def test_a_lost_response_is_retried_with_the_old_token(serve):
    server = serve()
    token = new_pair(server)["refresh_token"]
    refresh(server, token)  # its answer never arrives

    answer = refresh(server, token)

    assert answer.status_code == 200
    assert generation(answer.json()["refresh_token"]) == 1
    assert refresh(server, answer.json()["refresh_token"]).status_code == 200


def test_a_replay_after_the_window_ends_the_grant_and_its_access_tokens_and_is_told(serve):
    """RFC 9700 §4.14.2. The window is real time here, so this is the one test that waits for it."""
    server = serve(retry_window=1)
    pair = new_pair(server)
    newer = refresh(server, pair["refresh_token"]).json()
    assert refresh(server, pair["refresh_token"]).status_code == 200
    time.sleep(1.2)

    replayed = refresh(server, pair["refresh_token"])
    answered = time.monotonic()

    assert (replayed.status_code, replayed.json()["reason"]) == (400, "replayed")
    for access_token in (pair["access_token"], newer["access_token"]):
        while verify(server, access_token) != 401:
            assert time.monotonic() - answered < 1
    assert refresh(server, newer["refresh_token"]).json()["reason"] == "replayed"
    trail = json.loads(server.command("audit", "--json").stdout)
    told = [(record["event"], record.get("presented_generation"), record.get("current_generation")) for record in trail]
    assert told[-1] == ("grant.replayed", 0, 1)
