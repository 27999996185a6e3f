"""Ending keys on several nodes: each hears of it within a second, and any node that is asked writes one event."""

import json
import time
from base64 import b64encode

import httpx2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.e2e.conftest import PLAIN, refresh, verify


def exchange(node, api_key: str, address: str = "192.0.2.7") -> httpx2.Response:
    headers = {"x-forwarded-for": address}
    return httpx2.post(f"{node.url}/auth/api-key", json={"apiKey": api_key}, headers=headers, **PLAIN)


def until_refused(node, access_token: str) -> None:
    deadline = time.monotonic() + 5
    while verify(node, access_token) == 204 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert verify(node, access_token) == 401


def test_a_key_that_is_ended_at_one_node_is_refused_at_the_other(nodes):
    first, second = nodes.start(), nodes.start()
    key = nodes.create_key()
    pair = exchange(second, key["api_key"]).json()
    refresh(second, pair["refresh_token"])

    for node in (first, second, first):
        answer = httpx2.post(f"{node.url}/oauth/revoke", data={"token": key["api_key"]}, **PLAIN)
        assert (answer.status_code, answer.content) == (200, b"")

    until_refused(second, pair["access_token"])
    assert exchange(second, key["api_key"]).json()["reason"] == "revoked"
    (event,) = json.loads(nodes.command("audit", "--key", key["key_id"], "--event", "key.revoked", "--json"))
    assert event["reason"] == "exposed"
    assert json.loads(nodes.command("keys", "show", key["key_id"], "--json"))["revoked_why"] == "exposed"
    (grant,) = json.loads(nodes.command("grants", "list", "--key", key["key_id"], "--all", "--json"))
    assert (grant["state"], grant["opened_from"]) == ("ended", "192.0.2.7")


@pytest.mark.parametrize("mode", ["notify", "revoke"])
def test_a_report_of_githubs_to_two_nodes_is_one_event(nodes, tmp_path, mode):
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    file = tmp_path / "github.json"
    file.write_text(json.dumps({"public_keys": [{"key_identifier": "a", "key": pem}]}))
    both = [nodes.start(github_leaks=mode, github_leak_keys=file) for _ in range(2)]
    key = nodes.create_key()
    pair = exchange(both[1], key["api_key"]).json()
    body = json.dumps([{"token": key["api_key"], "type": "hp", "url": "https://github.com/x"}]).encode()
    signature = b64encode(private.sign(body, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {"Github-Public-Key-Identifier": "a", "Github-Public-Key-Signature": signature}

    for node in (*both, *both):
        assert httpx2.post(f"{node.url}/leaks/github", content=body, headers=headers, **PLAIN).status_code == 200

    told = json.loads(nodes.command("audit", "--key", key["key_id"], "--json"))
    revoked = ["key.revoked"] if mode == "revoke" else []
    assert [event["event"] for event in told] == ["key.created", "key.leaked", *revoked]
    if revoked:
        until_refused(both[1], pair["access_token"])


def test_every_token_from_before_an_instant_is_refused_at_every_node(nodes):
    both = [nodes.start(), nodes.start()]
    pair = exchange(both[0], nodes.create_key()["api_key"]).json()

    nodes.command("tokens", "revoke", "--issued-before", "now", "--yes")

    for node in both:
        until_refused(node, pair["access_token"])
    time.sleep(1.1)  # the second of the command is over
    fresh = refresh(both[1], pair["refresh_token"]).json()
    assert [verify(node, fresh["access_token"]) for node in both] == [204, 204]
