"""From the 200 of the revoke call to the refusal at every verifier: p99 under 1 s (verify.md, "Which way")."""

import json

import httpx2
import pytest
from bench.latency import revoke_to_refuse

REVOCATIONS = 200


@pytest.fixture
def pairs(serve):
    server = serve(exchange_limit=0)
    api_key = server.create_key()["api_key"]
    with httpx2.Client(base_url=server.url) as http:
        made = [http.post("/auth/api-key", json={"apiKey": api_key}).json() for _ in range(REVOCATIONS + 1)]
    return server.url, made


def test_a_revocation_reaches_four_busy_processes_and_forward_auth_within_a_second(pairs, record_property):
    """200 of them, half tokens and half grants. The slowest of the five places is measured."""
    figures = revoke_to_refuse(*pairs, verifiers=4)

    for name, value in figures.items():
        record_property(f"revoke_to_refuse_{name}", value)
    print(f"\nrevoke to refuse: {json.dumps(figures)}")
    assert figures["p99_ms"] < 1_000, figures
    assert figures["revocations"] == REVOCATIONS, figures
    assert figures["verified"] > REVOCATIONS * 4, "the verifiers were not busy"
