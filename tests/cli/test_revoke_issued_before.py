"""`hourpass tokens revoke --issued-before`: the emergency brake for every access token of every key."""

import time

import httpx2
import pytest


def status(server, access_token: str) -> int:
    return httpx2.get(f"{server.url}/auth/verify", headers={"authorization": f"Bearer {access_token}"}).status_code


def test_a_running_server_refuses_every_token_from_before_and_grants_go_on(serve):
    server = serve()
    with httpx2.Client(base_url=server.url) as http:
        keys = [server.create_key()["api_key"] for _ in range(2)]
        pairs = [http.post("/auth/api-key", json={"apiKey": key}).json() for key in keys]
        assert [status(server, pair["access_token"]) for pair in pairs] == [204, 204]

        server.command("tokens", "revoke", "--issued-before", "now", "--yes")

        deadline = time.monotonic() + 5
        while 204 in (found := [status(server, pair["access_token"]) for pair in pairs]):
            assert time.monotonic() < deadline, found
        time.sleep(1.1)  # the second of the command is over
        fresh = http.post("/auth/refresh", json={"refreshToken": pairs[0]["refresh_token"]}).json()
        assert status(server, fresh["access_token"]) == 204


def test_what_is_revoked_is_said_and_in_the_trail(hourpass, api_key):
    access_token = hourpass.exchange(api_key).access_token
    revoked = hourpass.json("tokens", "revoke", "--issued-before", "now", "--yes")

    last = hourpass.json("audit")[-1]
    assert (last["event"], last["issued_before"]) == ("tokens.revoked", revoked["issued_before"])
    shown = hourpass.json("tokens", "inspect", "-", input=access_token.decode(), code=1)
    assert shown["words"] == "no: all tokens issued before a certain time were revoked"
    assert shown["issued_at"] < revoked["issued_before"]


def test_a_token_from_after_the_time_is_not_revoked(hourpass, api_key):
    access_token = hourpass.exchange(api_key, seconds_ago=60).access_token

    hourpass("tokens", "revoke", "--issued-before", "10m", "--yes")

    assert hourpass.json("tokens", "inspect", "-", input=access_token.decode())["words"].startswith("yes")


def test_a_time_that_is_to_come_is_refused(hourpass):
    hourpass.create_key()

    result = hourpass("tokens", "revoke", "--issued-before", "2100-01-01", "--yes", code=1)

    assert "to come" in result.stderr
    assert hourpass.json("audit")[-1]["event"] == "key.created"


@pytest.mark.parametrize(
    "arguments", [(), ("-", "--issued-before", "now", "--yes"), ("--issued-before", "now"), ("--issued-before", "soon")]
)
def test_wrong_usage_revokes_nothing(hourpass, arguments):
    hourpass.create_key()

    hourpass("tokens", "revoke", *arguments, code=2, input="")

    assert hourpass.json("audit")[-1]["event"] == "key.created"
