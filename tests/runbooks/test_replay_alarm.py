"""docs/runbooks/replay-alarm.md, on a server whose client lost its refresh token to a thief."""

import json

import httpx2
from tests.e2e.conftest import PLAIN

OWNER, THIEF = {"x-forwarded-for": "192.0.2.1"}, {"x-forwarded-for": "203.0.113.66"}
EXAMPLE_KEY, EXAMPLE_GRANT = "esfgQNdftXvX", "905117abbe9cf174494a0b1ebd50da4a"


def test_a_stolen_refresh_token_raises_the_alarm_and_the_page_ends_what_the_thief_has(
    serve, prometheus, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target())
    key = server.create_key("--retry-window", "0")
    prometheus.await_scraped(server.admin)
    with httpx2.Client(base_url=server.url, **PLAIN) as http:

        def send(path: str, body: dict[str, str], who: dict[str, str]) -> httpx2.Response:
            return http.post(path, json=body, headers=who)

        stolen = send("/auth/api-key", {"apiKey": key["api_key"]}, OWNER).json()["refresh_token"]
        owners = send("/auth/refresh", {"refreshToken": stolen}, OWNER).json()
        assert send("/auth/refresh", {"refreshToken": stolen}, THIEF).status_code == 400
        assert send("/auth/refresh", {"refreshToken": owners["refresh_token"]}, OWNER).status_code == 400
        bearer = {"authorization": f"Bearer {owners['access_token']}"}
        assert http.get("/auth/verify", headers=bearer).status_code == 401
    (grant,) = json.loads(server.command("grants", "list", "--key", key["key_id"], "--all", "--json").stdout)
    book = open_runbook("replay-alarm", server, {EXAMPLE_KEY: key["key_id"], EXAMPLE_GRANT: grant["grant_id"]})
    prometheus.wait(lambda: "HourpassReplay" in prometheus.firing(server.admin), "the alert does not fire", 20)
    await_symptom(book, server)

    said = book.run()
    book.await_over()
    assert "HourpassReplay" not in prometheus.firing(server.admin)

    assert THIEF["x-forwarded-for"] in said["hourpass audit --event grant.replayed --since 1d"]
    assert OWNER["x-forwarded-for"] in said[f"hourpass grants show {EXAMPLE_GRANT}"]
    assert "revoked" in said[f"hourpass grants show {EXAMPLE_GRANT}"]
    assert key["key_id"] in said[f"hourpass audit --grant {EXAMPLE_GRANT}"]
    answer = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key["api_key"]}, **PLAIN)
    assert answer.json()["reason"] == "rotated"
