"""The examples as somebody runs them: each a process of its own, beside an issuer."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET, clean_environment, free_port

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", params=["fastapi", "flask", "django"])
def example(request, shared_issuer, tmp_path_factory):
    """A client of the running example."""
    port = free_port()
    environment = clean_environment(
        HOURPASS_ISSUER=shared_issuer.url, HOURPASS_AUDIENCE="https://api.test", PORT=str(port)
    )
    path = tmp_path_factory.mktemp("example") / "log"
    with path.open("wb") as log:
        command = [sys.executable, str(EXAMPLES / request.param / "app.py")]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        deadline = time.monotonic() + 30
        while True:
            try:
                client.get("/health")
                break
            except httpx2.TransportError:
                assert process.poll() is None, path.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield client
    process.terminate()
    process.wait(10)
    assert not LOOKS_SECRET.search(path.read_bytes())


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_good_token_gets_the_videos(example, shared_issuer):
    answer = example.get("/videos", headers=bearer(shared_issuer.token(jti="good")))

    assert answer.status_code == 200
    assert answer.json() == {"owner": "alice", "videos": ["Harbour at dawn", "Night train"]}


def test_without_a_token_it_is_401_with_the_challenge(example):
    answer = example.get("/videos")

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="hourpass"')


def test_a_token_without_the_scope_is_403_and_names_it(example, shared_issuer):
    answer = example.get("/videos", headers=bearer(shared_issuer.token(scope="")))

    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="videos.read"' in answer.headers["www-authenticate"]


def test_health_needs_nothing_and_says_how_fresh_the_knowledge_is(example, shared_issuer):
    example.get("/videos", headers=bearer(shared_issuer.token()))

    assert example.get("/health").json() == {"keys": "fresh", "revocations": "fresh"}


def test_a_revoked_token_is_refused_within_a_second(example, shared_issuer):
    grant = f"grant-{len(shared_issuer.entries)}"
    headers = bearer(shared_issuer.token(sid=grant))
    assert example.get("/videos", headers=headers).status_code == 200

    shared_issuer.revoke("grant", grant)
    began = time.monotonic()
    while (answer := example.get("/videos", headers=headers)).status_code == 200:
        assert time.monotonic() - began < 5

    assert time.monotonic() - began < 1
    assert 'error_description="revoked"' in answer.headers["www-authenticate"]
