"""docs/runbooks/leaked-key.md: each command of the page does on a running server what the page says."""

import json
import os
import re
import subprocess
import time

import httpx2
import pytest
from tests.conftest import HOURPASS, clean_environment

PAGE = "docs/runbooks/leaked-key.md"
ELSEWHERE = "curl -sf https://api.github.com/"

EXAMPLE_KEY, EXAMPLE_GRANT, EXAMPLE_URL = "esfgQNdftXvX", "905117abbe9cf174494a0b1ebd50da4a", "http://127.0.0.1:3600"


@pytest.fixture
def leak(serve, tmp_path):
    """A server with a key that has leaked: its owner uses it from one address, and a thief from another."""
    server = serve()
    key = server.create_key("--scope", "videos.read")
    (tmp_path / "leaked-key.txt").write_text(key["api_key"])
    (tmp_path / "findings.txt").write_text(f"config.py:3: KEY = '{key['api_key']}'\n")
    with httpx2.Client(base_url=server.url) as http:
        for address in ("192.0.2.1", "203.0.113.66"):
            headers = {"x-forwarded-for": address}
            pair = http.post("/auth/api-key", json={"apiKey": key["api_key"]}, headers=headers).json()
            http.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]}, headers=headers)
    return server, key


def test_the_pages_commands_end_a_leaked_key_and_say_who_used_it(leak, pages, tmp_path):
    server, key = leak
    grants = json.loads(server.command("grants", "list", "--key", key["key_id"], "--json").stdout)
    thiefs = next(grant["grant_id"] for grant in grants if grant["opened_from"] == "203.0.113.66")
    environment = clean_environment(
        HOURPASS_DATA=str(server.data), PATH=f"{HOURPASS.parent}:{os.environ['PATH']}", NO_COLOR="1"
    )
    said: dict[str, str] = {}
    for block in re.findall(r"```sh\n(.*?)```", pages[PAGE], re.DOTALL):
        for line in block.splitlines():
            if line.startswith(ELSEWHERE):
                continue
            real = line.replace(EXAMPLE_KEY, key["key_id"]).replace(EXAMPLE_GRANT, thiefs)
            command = ["bash", "-c", real.replace(EXAMPLE_URL, server.url)]
            result = subprocess.run(
                command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60, check=False
            )
            # The first report has a key that is still good, and that is what the exit code says.
            good = line == "hourpass keys leaked findings.txt"
            assert result.returncode == (1 if good else 0), f"{line}: {result.stdout}{result.stderr}"
            assert key["api_key"] not in result.stdout + result.stderr
            said[line] = result.stdout + result.stderr
            time.sleep(1.1 if "rotate" in line or "revoke" in line else 0)

    def answer(beginning: str) -> str:
        return next(text for line, text in said.items() if line.startswith(beginning))

    assert key["key_id"] in answer("hourpass keys show -")
    assert re.search(rf"{key['key_id']} .* active ", answer("hourpass keys leaked findings.txt"))
    assert "revoked" in answer(f"hourpass keys show {EXAMPLE_KEY}")
    assert '"reason":"revoked"' in answer("printf")
    assert "203.0.113.66" in answer("hourpass grants list")
    assert "192.0.2.1" in answer("hourpass grants list")
    assert "203.0.113.66" in answer("hourpass grants show")
    assert "key_revoked" in answer("hourpass audit --key")
    assert "[[rules]]" in answer("hourpass keys pattern --for gitleaks")


@pytest.mark.parametrize("command", ["keys rotate {} --now", "keys revoke {}", "keys disable {} --now"])
def test_each_way_to_end_it_refuses_the_key_and_its_tokens(leak, command, pages):
    server, key = leak
    assert f"`hourpass {command.format('ID')}`" in pages[PAGE]
    with httpx2.Client(base_url=server.url) as http:
        body = {"apiKey": key["api_key"]}
        bearer = {"authorization": f"Bearer {http.post('/auth/api-key', json=body).json()['access_token']}"}
        assert http.get("/auth/verify", headers=bearer).status_code == 204

        server.command(*command.format(key["key_id"]).split())

        deadline = time.monotonic() + 5
        while http.get("/auth/verify", headers=bearer).status_code == 204 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert http.get("/auth/verify", headers=bearer).status_code == 401
        assert http.post("/auth/api-key", json=body).status_code == 400
