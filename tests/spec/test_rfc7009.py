"""RFC 7009, token revocation."""

import pytest
from tests.server.conftest import key_id_of, other_secret
from tests.server.test_api_keys import basic


async def revoke(http, token, *, authorization=None, **form):
    headers = {} if authorization is None else {"authorization": authorization}
    return await http.post("/oauth/revoke", data={"token": token, **form}, headers=headers)


async def refused_as(http, token):
    """The word for which an access token is refused, or nothing if it is good."""
    answer = await http.get("/auth/verify", headers={"authorization": f"Bearer {token}"})
    return answer.headers.get("www-authenticate", "").partition('error_description="')[2].rstrip('"')


async def refresh(http, token):
    return await http.post("/auth/refresh", json={"refreshToken": token})


@pytest.mark.anyio
async def test_2_1_revoking_a_refresh_token_ends_its_grant_and_the_grants_access_tokens(server, http):
    """§2.1: SHOULD also invalidate all access tokens based on the same grant."""
    access, token = await server.tokens()
    newer = (await refresh(http, token)).json()

    answer = await revoke(http, newer["refresh_token"])

    assert (answer.status_code, answer.content) == (200, b"")
    assert (await refresh(http, newer["refresh_token"])).json()["reason"] == "revoked"
    assert [await refused_as(http, one) for one in (access, newer["access_token"])] == ["revoked", "revoked"]


@pytest.mark.anyio
async def test_2_1_revoking_an_access_token_ends_that_token_alone(server, http):
    """contract.md, "POST /oauth/revoke": an access token is revoked alone."""
    access, token = await server.tokens()
    newer = (await refresh(http, token)).json()

    await revoke(http, access)

    assert [await refused_as(http, one) for one in (access, newer["access_token"])] == ["revoked", ""]
    assert (await refresh(http, newer["refresh_token"])).status_code == 200


@pytest.mark.anyio
async def test_2_1_the_revocation_takes_effect_at_once(server, http):
    """§2.1: the invalidation takes place immediately."""
    access, _ = await server.tokens()
    assert await refused_as(http, access) == ""

    await revoke(http, access)

    assert await refused_as(http, access) == "revoked"


@pytest.mark.anyio
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
async def test_2_1_the_hint_changes_nothing(server, http, hint):
    """§2.1: a wrong or unknown hint is ignored."""
    access, token = await server.tokens()

    await revoke(http, access, token_type_hint=hint)
    await revoke(http, token, token_type_hint=hint)

    assert await refused_as(http, access) == "revoked"
    assert (await refresh(http, token)).json()["reason"] == "revoked"


@pytest.mark.anyio
@pytest.mark.parametrize("which", ["access", "refresh"])
async def test_2_2_revoking_again_is_200(server, http, which):
    """§2.2: idempotent."""
    access, token = await server.tokens()
    subject = access if which == "access" else token

    assert [(await revoke(http, subject)).status_code for _ in range(3)] == [200] * 3


@pytest.mark.anyio
@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "x" * 9_000, " ", "\x00"], ids=ascii)
async def test_2_2_a_token_of_nobody_is_200(http, token):
    """§2.2: an invalid token is not an error, because the client could do nothing about it."""
    answer = await revoke(http, token)

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.anyio
async def test_2_2_an_expired_token_is_200(server, http):
    access, token = await server.tokens()
    await server.later(91 * 86_400)

    assert [(await revoke(http, one)).status_code for one in (access, token)] == [200, 200]


@pytest.mark.anyio
async def test_2_1_a_forged_token_revokes_nothing(server, http):
    """threat-model.md, "Attackers": failing traffic revokes nothing genuine."""
    access, token = await server.tokens()
    for one in (access, token):
        head, _, signature = one.rpartition(".")
        await revoke(http, f"{head}.{signature[:-4]}AAAA")

    assert await refused_as(http, access) == ""
    assert (await refresh(http, token)).status_code == 200


@pytest.mark.anyio
async def test_2_1_a_superseded_refresh_token_still_ends_its_grant(server, http):
    """Its holder held the grant, and a log-out must not fail because a refresh came between."""
    _, old = await server.tokens()
    new = (await refresh(http, old)).json()["refresh_token"]

    await revoke(http, old)

    assert (await refresh(http, new)).json()["reason"] == "revoked"


@pytest.mark.anyio
@pytest.mark.parametrize("which", ["access", "refresh"])
@pytest.mark.parametrize("way", ["authenticated", "mentioned"])
async def test_2_1_a_token_of_another_client_is_refused_and_stays(server, http, which, way):
    """§2.1: the server verifies that the token was issued to the client."""
    access, token = await server.tokens()
    other = await server.create_key()
    client = {"client_id": key_id_of(other)} | ({"client_secret": other} if way == "authenticated" else {})

    answer = await revoke(http, access if which == "access" else token, **client)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await refused_as(http, access) == ""
    assert (await refresh(http, token)).status_code == 200


@pytest.mark.anyio
async def test_2_1_the_tokens_own_client_may_say_who_it_is(server, http):
    key = await server.create_key()
    token = (await server.exchange(key)).refresh_token.decode()

    answer = await revoke(http, token, authorization=basic(f"{key_id_of(key)}:{key}"))

    assert answer.status_code == 200
    assert (await refresh(http, token)).json()["reason"] == "revoked"


@pytest.mark.anyio
async def test_2_1_wrong_client_credentials_are_401_and_revoke_nothing(server, http):
    """§2.1, §2.2.1."""
    key = await server.create_key()
    token = (await server.exchange(key)).refresh_token.decode()

    answer = await revoke(http, token, authorization=basic(f"{key_id_of(key)}:{other_secret(key)}"))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert (await refresh(http, token)).status_code == 200


@pytest.mark.anyio
async def test_2_1_the_token_is_required(http):
    """§2.1."""
    answer = await http.post("/oauth/revoke", data={"token_type_hint": "access_token"})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.anyio
async def test_2_3_a_browsers_page_may_revoke_from_an_allowed_origin(start):
    """§2.3: CORS rather than JSONP."""
    http = (await start(cors_origins=("https://app.test",))).client(origin="https://app.test")

    assert (await revoke(http, "x")).headers["access-control-allow-origin"] == "https://app.test"
