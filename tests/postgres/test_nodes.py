"""Several `hourpass serve` processes on one PostgreSQL: any node refreshes any token, and all hear of a revocation.

contract.md, promises 1 and 4.
"""

import asyncio
import json
import time

import httpx2
import pytest
from tests.e2e.conftest import PLAIN, generation, refresh, verify


def exchange(node, api_key: str) -> dict:
    return httpx2.post(f"{node.url}/auth/api-key", json={"apiKey": api_key}, **PLAIN).raise_for_status().json()


def test_any_node_refreshes_and_verifies_tokens_of_another_one(nodes):
    all_three = nodes.start(), nodes.start(), nodes.start()
    first, second, third = all_three
    pair = exchange(first, nodes.create_key()["api_key"])

    for number, node in enumerate([second, third, first, third, second], start=1):
        answer = refresh(node, pair["refresh_token"])
        assert answer.status_code == 200
        pair = answer.json()
        assert generation(pair["refresh_token"]) == number
        assert [verify(each, pair["access_token"]) for each in all_three] == [204] * 3


@pytest.mark.anyio
async def test_64_refreshes_of_one_token_on_two_nodes_at_once_all_get_the_same_successor(nodes):
    both = [nodes.start(), nodes.start()]
    token = exchange(both[0], nodes.create_key()["api_key"])["refresh_token"]

    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=64), **PLAIN) as http:
        answers = await asyncio.gather(
            *(http.post(f"{both[n % 2].url}/auth/refresh", json={"refreshToken": token}) for n in range(64))
        )

    assert {answer.status_code for answer in answers} == {200}
    assert {generation(answer.json()["refresh_token"]) for answer in answers} == {1}
    assert refresh(both[1], answers[0].json()["refresh_token"]).status_code == 200


def test_a_lost_response_is_retried_on_another_node(nodes):
    first, second = nodes.start(), nodes.start()
    token = exchange(first, nodes.create_key()["api_key"])["refresh_token"]
    refresh(first, token)  # its answer never arrives
    first.kill()

    answer = refresh(second, token)

    assert answer.status_code == 200
    assert generation(answer.json()["refresh_token"]) == 1


def seconds_until_refused(nodes, access_token: str) -> float:
    began = time.monotonic()
    while {verify(node, access_token) for node in nodes.running} != {401}:
        assert time.monotonic() - began < 5
    return time.monotonic() - began


def test_a_revocation_on_one_node_takes_effect_on_every_node_within_a_second(nodes):
    first, second, third = nodes.start(), nodes.start(), nodes.start()
    key = nodes.create_key()
    by_token, by_key = exchange(first, key["api_key"]), exchange(second, key["api_key"])
    assert [verify(node, by_token["access_token"]) for node in (second, third)] == [204, 204]

    form = {"token": by_token["refresh_token"]}
    assert httpx2.post(f"{first.url}/oauth/revoke", data=form, **PLAIN).status_code == 200
    assert seconds_until_refused(nodes, by_token["access_token"]) < 1
    for node in (first, second, third):
        assert refresh(node, by_token["refresh_token"]).json()["reason"] == "revoked"

    nodes.command("keys", "revoke", key["key_id"])
    assert seconds_until_refused(nodes, by_key["access_token"]) < 1
    for node in (first, second, third):
        assert refresh(node, by_key["refresh_token"]).json()["reason"] == "key_disabled"


def test_after_a_leak_every_node_refuses_the_old_key_within_a_second_and_accepts_the_new_one_at_once(nodes):
    running = nodes.start(), nodes.start(), nodes.start()
    key = nodes.create_key()
    pairs = [exchange(node, key["api_key"]) for node in running]

    new = json.loads(nodes.command("keys", "rotate", key["key_id"], "--now", "--json"))["api_key"]
    fresh = [exchange(node, new) for node in running]

    assert all(seconds_until_refused(nodes, pair["access_token"]) < 1 for pair in pairs)
    for node in running:
        assert [verify(node, pair["access_token"]) for pair in fresh] == [204] * 3
        assert {refresh(node, pair["refresh_token"]).json()["reason"] for pair in pairs} == {"revoked"}
