"""RFC 7662, token introspection."""

import pytest
from tests.server.conftest import claims_of, key_id_of
from tests.server.test_api_keys import basic


@pytest.fixture
async def ask(server, http):
    """Introspection by a key that may: `await ask(token)` is the answer."""
    api = await server.create_key(scope="introspect")

    async def introspect(token, **form):
        headers = {"authorization": basic(f"{key_id_of(api)}:{api}")}
        return await http.post("/oauth/introspect", data={"token": token, **form}, headers=headers)

    return introspect


@pytest.mark.anyio
async def test_2_2_an_active_access_token_is_described_by_its_claims(server, ask):
    """§2.2."""
    access, _ = await server.tokens(scope="b a", subject="account-7")

    answer = await ask(access)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {"active": True, "token_type": "Bearer", **claims_of(access)}


@pytest.mark.anyio
async def test_2_2_an_active_refresh_token_is_described_by_its_grant(server, ask):
    """§2.2. It is not a bearer token, so it has no token_type."""
    key = await server.create_key(scope="a", subject="account-7")
    pair = await server.exchange(key)

    described = (await ask(pair.refresh_token.decode())).json()

    assert described == {
        "active": True,
        "iss": "http://hourpass.test",
        "sub": "account-7",
        "client_id": key_id_of(key),
        "scope": "a",
        "sid": claims_of(pair.access_token)["sid"],
        "env": "production",
        "iat": server.clock() // 1000,
        "exp": server.clock() // 1000 + 30 * 86_400,
    }


API = "https://api.test"
OTHERS = {
    "another environment": ({"environment": "sandbox"}, {}),
    "another environment, seen from the sandbox": ({}, {"environment": "sandbox"}),
    "another audience": ({"audience": API}, {}),
    "another audience, seen from there": ({}, {"audience": API}),
    "both": ({"environment": "sandbox", "audience": API}, {}),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("of_token", "of_caller"), OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("which", [0, 1], ids=["access", "refresh"])
async def test_4_a_caller_sees_the_tokens_of_its_own_environment_and_audience_alone(
    server, http, of_token, of_caller, which
):
    """§4: the server may answer differently for each protected resource."""
    token = (await server.tokens(**of_token))[which]
    others, own = [await server.create_key(scope="introspect", **each) for each in (of_caller, of_token)]

    async def ask(key):
        headers = {"authorization": basic(f"{key}:")}
        return (await http.post("/oauth/introspect", data={"token": token}, headers=headers)).json()

    assert await ask(others) == {"active": False}
    assert (await ask(own))["active"]


INACTIVE = ["nobody's", "forged", "expired", "revoked", "replayed", "of a revoked key", "refresh of a revoked key"]


@pytest.mark.anyio
@pytest.mark.parametrize("which", INACTIVE)
async def test_2_2_a_token_that_is_not_valid_is_inactive_and_nothing_more(server, http, ask, which):
    """§2.2: no further information about an inactive token."""
    key = await server.create_key()
    pair = await server.exchange(key)
    access, refresh = pair.access_token.decode(), pair.refresh_token.decode()
    token = refresh if "refresh" in which or which == "replayed" else access
    if which == "nobody's":
        token = "é"
    elif which == "forged":
        token = access[:-4] + "AAAA"
    elif which == "expired":
        await server.later(3_605)
    elif which == "revoked":
        await http.post("/oauth/revoke", data={"token": access})
    elif which == "replayed":
        await server.refresh(refresh)
        await server.later(60.001)
    else:
        await server.revoke_key(key)

    answer = await ask(token)

    assert (answer.status_code, answer.json()) == (200, {"active": False})


@pytest.mark.anyio
async def test_2_1_asking_about_a_refresh_token_neither_rotates_nor_revokes(server, http, ask):
    """Introspection looks only: a token that would be a replay is inactive, and its grant lives on."""
    _, old = await server.tokens()
    new = (await server.refresh(old)).refresh_token.decode()
    await server.later(61)

    described = [(await ask(token)).json()["active"] for token in (old, new)]

    assert described == [False, True]
    assert (await http.post("/auth/refresh", json={"refreshToken": new})).status_code == 200


@pytest.mark.anyio
async def test_2_1_a_refresh_token_that_would_be_a_retry_is_active(server, ask):
    _, old = await server.tokens()
    await server.refresh(old)
    await server.later(60)

    assert (await ask(old)).json()["active"] is True


@pytest.mark.anyio
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
async def test_2_1_the_hint_changes_nothing(server, ask, hint):
    """§2.1."""
    for token in await server.tokens():
        assert (await ask(token, token_type_hint=hint)).json()["active"] is True


@pytest.mark.anyio
async def test_2_1_the_caller_must_authenticate(server, http):
    """§2.1, §2.3: to prevent token scanning."""
    access, _ = await server.tokens()

    answer = await http.post("/oauth/introspect", data={"token": access})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="hourpass"'


@pytest.mark.anyio
async def test_2_3_a_caller_without_the_scope_is_403(server, http):
    """contract.md, "POST /oauth/introspect": a key that has the `introspect` scope."""
    key = await server.create_key(scope="introspection a")
    access, _ = await server.tokens()

    answer = await http.post("/oauth/introspect", data={"token": access}, headers={"authorization": basic(f"{key}:")})

    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.anyio
async def test_2_1_the_token_is_required(ask):
    """§2.1, §2.3."""
    answer = await ask("")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.anyio
async def test_4_a_token_in_the_query_is_not_read(server, http):
    """§4: it would end in logs."""
    key = await server.create_key(scope="introspect")
    access, _ = await server.tokens()

    answer = await http.post(
        f"/oauth/introspect?token={access}", data={"x": "y"}, headers={"authorization": basic(f"{key}:")}
    )

    assert answer.status_code == 400
    assert (await http.get(f"/oauth/introspect?token={access}")).status_code == 405


@pytest.mark.anyio
@pytest.mark.parametrize("which", [0, 1], ids=["access", "refresh"])
async def test_4_a_caller_sees_nothing_of_a_grant_for_another_of_its_keys_audiences(server, http, which):
    """§4. The key is for both, the grant for one."""
    pair = await server.exchange(await server.create_key(audiences=[API, "https://b.test"]), audience="https://b.test")
    token = (pair.access_token, pair.refresh_token)[which].decode()

    told = {}
    for audience in (API, "https://b.test"):
        caller = await server.create_key(scope="introspect", audience=audience)
        headers = {"authorization": basic(f"{caller}:")}
        told[audience] = (await http.post("/oauth/introspect", data={"token": token}, headers=headers)).json()

    assert told[API] == {"active": False}
    assert told["https://b.test"]["active"]
