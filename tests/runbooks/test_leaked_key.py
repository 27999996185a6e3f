"""docs/runbooks/leaked-key.md: each command of the page does on a running server what the page says."""

import json
import re
import time

import httpx2
import pytest
from tests.e2e.conftest import PLAIN
from tests.runbooks.runbook import FOLDER
from tests.server.test_github_leaks import ROUTE, URL, Github

PAGE = "leaked-key"
EXAMPLE_KEY, EXAMPLE_GRANT = "esfgQNdftXvX", "905117abbe9cf174494a0b1ebd50da4a"
LEAKED = """printf '{"apiKey":"%s"}' "$(cat leaked-key.txt)" | curl -s -d @- http://127.0.0.1:3600/auth/api-key"""


@pytest.fixture
def github(tmp_path):
    return Github(tmp_path / "github.json")


@pytest.fixture
def leak(serve, github, prometheus, tmp_path):
    """A server with a key that has leaked: its owner uses it from one address, and a thief from another."""
    server = serve(admin_listen=prometheus.target(), github_leaks="notify", github_leak_keys=github.file)
    key = server.create_key("--scope", "videos.read")
    (tmp_path / "leaked-key.txt").write_text(key["api_key"])
    (tmp_path / "findings.txt").write_text(f"config.py:3: KEY = '{key['api_key']}'\n")
    with httpx2.Client(base_url=server.url, **PLAIN) as http:
        for address in ("192.0.2.1", "203.0.113.66"):
            headers = {"x-forwarded-for": address}
            pair = http.post("/auth/api-key", json={"apiKey": key["api_key"]}, headers=headers).json()
            http.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]}, headers=headers)
    return server, key


def test_the_pages_commands_end_a_leaked_key_and_say_who_used_it(leak, github, prometheus, open_runbook, await_symptom):
    server, key = leak
    prometheus.await_scraped(server.admin)
    report = json.dumps([{"token": key["api_key"], "type": "hp", "url": URL, "source": "content"}]).encode()
    told = httpx2.post(server.url + ROUTE, content=report, headers=github.signed(report), **PLAIN)
    assert told.status_code == 200
    grants = json.loads(server.command("grants", "list", "--key", key["key_id"], "--json").stdout)
    thiefs = next(grant["grant_id"] for grant in grants if grant["opened_from"] == "203.0.113.66")
    book = open_runbook(PAGE, server, {EXAMPLE_KEY: key["key_id"], EXAMPLE_GRANT: thiefs})
    await_symptom(book, server)

    # The first report has a key that is still good, and that is what the exit code says.
    said = book.run(fails={"hourpass keys leaked findings.txt": 1}, until={LEAKED: '"reason":"revoked"'})
    said |= book.run("Find the next leak sooner")
    assert "HourpassLeakedKeyUsed" in prometheus.fired(server.admin)
    book.await_over()

    assert key["api_key"] not in "".join(said.values())

    def answer(beginning: str) -> str:
        return next(text for line, text in said.items() if line.startswith(beginning))

    assert LEAKED in said
    assert key["key_id"] in answer("hourpass keys show -")
    assert re.search(rf"{key['key_id']} .* active ", answer("hourpass keys leaked findings.txt"))
    assert "203.0.113.66" in answer("hourpass grants list")
    assert "192.0.2.1" in answer("hourpass grants list")
    assert "203.0.113.66" in answer("hourpass grants show")
    assert "key.revoked" in answer("hourpass audit --key")
    assert key["key_id"] in answer("hourpass audit --event key.revoked_used")
    assert "[[rules]]" in answer("hourpass keys pattern --for gitleaks")


@pytest.mark.parametrize(
    ("command", "alert"),
    [
        ("keys rotate {} --now", "HourpassLeakedKeyUsed"),
        ("keys revoke {} --reason leaked", "HourpassLeakedKeyUsed"),
        ("keys disable {} --now", "HourpassEndedKeyUsed"),
    ],
)
def test_each_way_to_end_it_refuses_the_key_and_its_tokens_and_says_so_if_it_comes_again(
    leak, prometheus, command, alert
):
    server, key = leak
    prometheus.await_scraped(server.admin)
    assert f"`hourpass {command.format('ID')}`" in (FOLDER / f"{PAGE}.md").read_text("utf-8")
    with httpx2.Client(base_url=server.url, **PLAIN) as http:
        body = {"apiKey": key["api_key"]}
        bearer = {"authorization": f"Bearer {http.post('/auth/api-key', json=body).json()['access_token']}"}
        assert http.get("/auth/verify", headers=bearer).status_code == 204

        server.command(*command.format(key["key_id"]).split())

        deadline = time.monotonic() + 5
        while http.get("/auth/verify", headers=bearer).status_code == 204 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert http.get("/auth/verify", headers=bearer).status_code == 401
        assert http.post("/auth/api-key", json=body).status_code == 400
    prometheus.await_fired(server.admin, alert)
