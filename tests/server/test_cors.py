"""CORS: a browser's page may call the token endpoints if the operator allows its origin."""

import pytest

ORIGIN = "https://app.test"
TOKEN_PATHS = ["/auth/api-key", "/auth/refresh", "/oauth/token", "/oauth/revoke"]
DISCOVERY_PATHS = ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"]
OTHER_PATHS = ["/oauth/introspect", "/health/live", "/health/ready"]


async def preflight(server, path, origin=ORIGIN, method="POST"):
    headers = {"origin": origin, "access-control-request-method": method}
    return await server.client().options(path, headers=headers)


def allowed_names(answer):
    return {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}


@pytest.mark.anyio
@pytest.mark.parametrize("path", TOKEN_PATHS + DISCOVERY_PATHS)
async def test_a_preflight_from_an_allowed_origin_is_204(start, path):
    server = await start(cors_origins=(ORIGIN,))

    answer = await preflight(server, path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["vary"] == "Origin"
    assert ("POST" if path in TOKEN_PATHS else "GET") in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.anyio
async def test_a_preflight_allows_what_the_official_clients_send(start):
    """contract.md, "Browsers". Content-Type, because a browser asks before it sends JSON."""
    server = await start(cors_origins=(ORIGIN,))

    names = allowed_names(await preflight(server, "/auth/api-key"))

    clients = {"authorization", "av-origin-client", "av-origin-app", "av-origin-sdk", "content-range"}
    assert clients | {"content-type"} <= names


@pytest.mark.anyio
@pytest.mark.parametrize(
    "origin", ["https://evil.test", "http://app.test", "https://app.test.evil.test", "https://app.test:8443", "null"]
)
async def test_another_origin_is_allowed_nothing(start, origin):
    server = await start(cors_origins=(ORIGIN,))

    answers = [
        await preflight(server, "/auth/api-key", origin),
        await server.client(origin=origin).post("/auth/api-key", json={"apiKey": await server.create_key()}),
    ]

    assert [answer.status_code for answer in answers] == [405, 200]
    assert not any("access-control-allow-origin" in answer.headers for answer in answers)


@pytest.mark.anyio
async def test_without_the_setting_no_origin_is_allowed(server):
    assert (await preflight(server, "/auth/api-key")).status_code == 405


@pytest.mark.anyio
async def test_a_star_allows_every_origin_by_its_name(start):
    server = await start(cors_origins=("*",))

    answer = await preflight(server, "/auth/api-key", "https://anyone.test")

    assert answer.headers["access-control-allow-origin"] == "https://anyone.test"


@pytest.mark.anyio
async def test_answers_and_refusals_can_be_read_by_the_page(start):
    server = await start(cors_origins=(ORIGIN,))
    http = server.client(origin=ORIGIN)

    good = await http.post("/auth/api-key", json={"apiKey": await server.create_key()})
    bad = await http.post("/auth/refresh", json={"refreshToken": "x"})

    assert [good.status_code, bad.status_code] == [200, 400]
    assert {answer.headers["access-control-allow-origin"] for answer in (good, bad)} == {ORIGIN}


@pytest.mark.anyio
@pytest.mark.parametrize("path", OTHER_PATHS)
async def test_other_endpoints_allow_no_origin(start, path):
    server = await start(cors_origins=(ORIGIN,))

    answers = [await preflight(server, path), await server.client(origin=ORIGIN).get(path)]

    assert not any("access-control-allow-origin" in answer.headers for answer in answers)


@pytest.mark.anyio
@pytest.mark.parametrize("path", DISCOVERY_PATHS)
async def test_a_cacheable_answer_says_that_it_varies_by_origin(start, path):
    """Fetch §3.2.7: else a shared cache serves the answer without the CORS header to a browser."""
    server = await start(cors_origins=(ORIGIN,))

    answer = await server.client().get(path)

    assert "public" in answer.headers["cache-control"]
    assert answer.headers.get("vary") == "Origin"
