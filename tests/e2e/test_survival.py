"""What the design promises, against a real server process on a real disk: concurrency, lost responses, kill -9."""

import asyncio
import base64
import json
import random
import time

import httpx2
import pytest


def generation(refresh_token: str) -> int:
    """The generation that a refresh token names; clients never look at it, tests may."""
    payload = refresh_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))["gen"]


def exchange(server) -> dict:
    api_key = server.create_key()["api_key"]
    return httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": api_key}).raise_for_status().json()


def refresh(server, token: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": token})


def verify(server, token: str) -> int:
    return httpx2.get(f"{server.url}/auth/verify", headers={"authorization": f"Bearer {token}"}).status_code


@pytest.mark.anyio
@pytest.mark.parametrize("http_server", ["uvicorn", "granian"])
async def test_64_refreshes_of_one_token_at_once_all_get_the_same_successor(serve, http_server):
    server = serve(http_server=http_server)
    token = exchange(server)["refresh_token"]

    async with httpx2.AsyncClient(base_url=server.url, limits=httpx2.Limits(max_connections=64)) as http:
        answers = await asyncio.gather(*(http.post("/auth/refresh", json={"refreshToken": token}) for _ in range(64)))

    assert {answer.status_code for answer in answers} == {200}
    assert {generation(answer.json()["refresh_token"]) for answer in answers} == {1}
    assert refresh(server, answers[0].json()["refresh_token"]).status_code == 200


def test_a_lost_response_is_retried_with_the_old_token(serve):
    server = serve()
    token = exchange(server)["refresh_token"]
    refresh(server, token)  # its answer never arrives

    answer = refresh(server, token)

    assert answer.status_code == 200
    assert generation(answer.json()["refresh_token"]) == 1


def test_a_replay_after_the_window_ends_the_grant_and_its_access_tokens_and_is_told(serve):
    """RFC 9700 §4.14.2. The window is real time here, so this is the one test that waits for it."""
    server = serve(retry_window=1)
    pair = exchange(server)
    newer = refresh(server, pair["refresh_token"]).json()
    time.sleep(1.1)

    replayed = refresh(server, pair["refresh_token"])

    assert (replayed.status_code, replayed.json()["reason"]) == (400, "replayed")
    assert refresh(server, newer["refresh_token"]).status_code == 400
    assert verify(server, newer["access_token"]) == 401
    trail = json.loads(server.command("audit", "--json").stdout)
    assert [record["event"] for record in trail][-1] == "refresh_replayed"
    assert trail[-1]["current_generation"] == 1


def test_what_the_command_revokes_is_refused_within_a_second(serve):
    server = serve()
    made = server.create_key()
    pair = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": made["api_key"]}).json()

    server.command("keys", "revoke", made["key_id"])
    deadline = time.monotonic() + 1

    while verify(server, pair["access_token"]) != 401:
        assert time.monotonic() < deadline
    assert refresh(server, pair["refresh_token"]).json()["reason"] == "key_disabled"


class Client:
    """Refreshes its own grant again and again, and presents the same token again where the answer got lost."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.acknowledged = 0

    async def run(self, http: httpx2.AsyncClient) -> None:
        while True:
            try:
                answer = await http.post("/auth/refresh", json={"refreshToken": self.token})
            except httpx2.TransportError:
                await asyncio.sleep(0.02)
                continue
            if answer.status_code == 200:
                self.token = answer.json()["refresh_token"]
                self.acknowledged += 1
            else:
                assert answer.status_code == 503, answer.text


@pytest.mark.anyio
async def test_twenty_kills_under_load_lose_nothing_that_was_acknowledged(serve):
    server = serve()
    api_key = server.create_key()["api_key"]
    seed = random.Random(20)
    async with httpx2.AsyncClient(base_url=server.url, timeout=5) as http:
        first = [(await http.post("/auth/api-key", json={"apiKey": api_key})).json() for _ in range(12)]
        clients = [Client(pair["refresh_token"]) for pair in first]
        tasks = [asyncio.create_task(client.run(http)) for client in clients]
        for _ in range(20):
            await asyncio.sleep(seed.uniform(0.05, 0.25))
            doomed = server.create_key()
            server.command("keys", "revoke", doomed["key_id"])
            server.kill()
            await asyncio.to_thread(server.restart)
            lost = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": doomed["api_key"]})
            assert (lost.status_code, lost.json().get("reason")) == (400, "revoked")
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in done), done
    assert sum(client.acknowledged for client in clients) > 100
    for client in clients:
        before = generation(client.token)
        answer = refresh(server, client.token)
        assert answer.status_code == 200, answer.text
        assert generation(answer.json()["refresh_token"]) >= before
