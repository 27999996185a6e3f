"""contract.md, "Compatibility rules": what the source's own clients rely on, in the list's order."""

import anyio
import pytest
from tests.server.conftest import claims_of
from tests.server.test_api_keys import basic

from hourpass.core.policy import DAY

EVERY_ROUTE = [
    ("POST", "/auth/api-key"),
    ("POST", "/auth/refresh"),
    ("GET", "/auth/verify"),
    ("POST", "/oauth/token"),
    ("POST", "/oauth/revoke"),
    ("POST", "/oauth/introspect"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("content_type", ["text/plain", "text/plain;charset=UTF-8", "application/octet-stream", None])
async def test_rule_1_a_body_is_json_with_any_content_type(server, http, content_type):
    """The browser uploader sends text/plain. A trailing newline is fine."""
    headers = {} if content_type is None else {"content-type": content_type}
    exchanged = await http.post(
        "/auth/api-key", content=f'{{"apiKey":"{await server.create_key()}"}}\n', headers=headers
    )
    token = exchanged.json()["refresh_token"]

    refreshed = await http.post("/auth/refresh", content=f'{{"refreshToken":"{token}"}}\n', headers=headers)

    assert (exchanged.status_code, refreshed.status_code) == (200, 200)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "authorization",
    [basic("hp_production_wrong:"), "Bearer expired.token.here", "Bearer", "Bearer ", "", "Basic !!!", "a, b"],
)
async def test_rule_2_an_authorization_header_on_auth_is_ignored(server, http, authorization):
    """Clients send Basic, an expired Bearer, or an empty one there."""
    headers = [("authorization", authorization), ("authorization", authorization)]
    exchanged = await http.post("/auth/api-key", json={"apiKey": await server.create_key()}, headers=headers)
    token = exchanged.json()["refresh_token"]

    refreshed = await http.post("/auth/refresh", json={"refreshToken": token}, headers=headers)

    assert (exchanged.status_code, refreshed.status_code) == (200, 200)


@pytest.mark.anyio
async def test_rule_3_all_four_members_are_present_and_expires_in_is_an_integer(server, http):
    exchanged = (await http.post("/auth/api-key", json={"apiKey": await server.create_key()})).json()
    refreshed = (await http.post("/auth/refresh", json={"refreshToken": exchanged["refresh_token"]})).json()

    for answer in (exchanged, refreshed):
        assert {name: type(value) for name, value in answer.items()} == {
            "token_type": str,
            "expires_in": int,
            "access_token": str,
            "refresh_token": str,
        }


@pytest.mark.anyio
async def test_rule_4_the_refresh_token_outlives_the_access_token_by_far(server):
    access, refresh = await server.tokens()

    assert (claims_of(refresh)["exp"] - claims_of(access)["exp"]) * 1000 > 29 * DAY


@pytest.mark.anyio
async def test_rule_5_401_means_this_token_is_bad_and_nothing_else(server, http):
    """A missing permission is 403, or clients loop. A bad key or refresh token is 400, or PHP clients recurse."""
    token, _ = await server.tokens(scope="a")
    good = {"authorization": f"Bearer {token}"}

    missing_scope = await http.get("/auth/verify?scope=b", headers=good)
    bad_key = await http.post("/auth/api-key", json={"apiKey": "wrong"}, headers=good)
    bad_refresh = await http.post("/auth/refresh", json={"refreshToken": "wrong"}, headers=good)
    bad_token = await http.get("/auth/verify", headers={"authorization": "Bearer wrong"})

    statuses = [answer.status_code for answer in (missing_scope, bad_key, bad_refresh, bad_token)]
    assert statuses == [403, 400, 400, 401]


@pytest.mark.anyio
async def test_rule_6_an_access_token_is_accepted_for_5_seconds_after_its_end(server, http):
    """A client has no margin and starts its clock late."""
    token, _ = await server.tokens()
    headers = {"authorization": f"Bearer {token}"}
    statuses = []
    for wait in (3_600, 4.999, 0.001):
        await server.later(wait)
        statuses.append((await http.get("/auth/verify", headers=headers)).status_code)

    assert statuses == [204, 204, 401]


@pytest.mark.anyio
async def test_rule_7_a_browser_may_send_the_official_clients_headers(start):
    http = (await start(cors_origins=("https://app.test",))).client(origin="https://app.test")

    answer = await http.options("/auth/api-key", headers={"access-control-request-method": "POST"})

    allowed = answer.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    for name in ("Authorization", "AV-Origin-Client", "AV-Origin-App", "AV-Origin-Sdk", "Content-Range"):
        assert name.lower() in allowed


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_rule_8_everything_is_at_the_hosts_root_and_nothing_redirects(http, method, path):
    answer = await http.request(method, path)

    assert answer.status_code != 404
    assert not 300 <= answer.status_code < 400
    assert "location" not in answer.headers


@pytest.mark.anyio
async def test_rule_9_eight_parallel_calls_may_make_eight_exchanges(server, http):
    """Official clients exchange in bursts, again with every request."""
    key = await server.create_key()
    answers = []

    async def exchange():
        answers.append(await http.post("/auth/api-key", json={"apiKey": key}))

    for _ in range(10):
        async with anyio.create_task_group() as calls:
            for _ in range(8):
                calls.start_soon(exchange)

    assert {answer.status_code for answer in answers} == {200}
    tokens = [answer.json()["access_token"] for answer in answers]
    assert len({claims_of(token)["sid"] for token in tokens}) == 80
