"""Admin keys and their tokens work on the admin listener alone, and no other key works there."""

import httpx2
import pytest
from tests.server.conftest import claims_of, key_id_of

from hourpass.core.grant import GrantRef
from hourpass.server.endpoints.admin_listener import AdminApp

pytestmark = pytest.mark.anyio

ISSUER = "http://hourpass.test"


@pytest.fixture
async def admin(server):
    """A client of the admin listener."""
    app = AdminApp(server.app, "127.0.0.1:3601")
    yield httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app, client=("127.0.0.1", 1)), base_url="http://admin")
    await app.close()


async def exchanged(client, api_key):
    return await client.post("/auth/api-key", json={"apiKey": api_key})


async def pair_of(admin, api_key):
    answer = await exchanged(admin, api_key)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def bearer(admin, api_key):
    return {"Authorization": f"Bearer {(await pair_of(admin, api_key))['access_token']}"}


async def test_an_admin_key_is_exchanged_on_the_admin_listener_for_the_audience_of_the_administration(server, admin):
    pair = await pair_of(admin, await server.create_key(admin="auditor"))

    claims = claims_of(pair["access_token"])
    assert claims["aud"] == f"{ISSUER}/admin"
    assert "keys:read" in claims["scope"].split()
    assert "keys:write" not in claims["scope"].split()
    refreshed = await admin.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})
    assert claims_of(refreshed.json()["access_token"])["aud"] == f"{ISSUER}/admin"


async def test_an_admin_key_may_ask_for_its_own_audience_and_for_no_other(server, admin):
    api_key = await server.create_key(admin="owner")

    own = await admin.post("/auth/api-key", json={"apiKey": api_key, "audience": f"{ISSUER}/admin"})
    assert claims_of(own.json()["access_token"])["aud"] == f"{ISSUER}/admin"
    refused = await admin.post("/auth/api-key", json={"apiKey": api_key, "audience": ISSUER})
    assert (refused.status_code, refused.json()["reason"]) == (400, "invalid_target")

    headers = {"Authorization": f"Bearer {own.json()['access_token']}"}
    shown = await admin.get(f"/admin/v1/keys/{key_id_of(api_key)}", headers=headers)
    assert shown.json()["grants"] == 1, "the refusal opened no grant"


async def test_the_public_address_takes_no_admin_key_in_any_way(server, http):
    api_key = await server.create_key(admin="owner")

    refused = await exchanged(http, api_key)
    assert (refused.status_code, refused.json()["reason"]) == (400, "wrong_listener")
    form = {"grant_type": "client_credentials", "client_id": key_id_of(api_key), "client_secret": api_key}
    assert (await http.post("/oauth/token", data=form)).status_code == 401
    assert (await http.get("/auth/verify", auth=(api_key, ""))).status_code == 401
    assert (await http.post("/auth/rotate", json={"apiKey": api_key})).status_code == 400
    assert (await http.post("/oauth/introspect", data={"token": "x"}, auth=(api_key, ""))).status_code == 401


async def test_the_admin_listener_takes_no_other_key(server, admin):
    refused = await exchanged(admin, await server.create_key(scope="keys:read"))

    assert (refused.status_code, refused.json()["reason"]) == (400, "wrong_listener")


async def test_a_refresh_token_works_on_the_listener_that_made_it_and_not_on_the_other(server, admin, http):
    admins = (await pair_of(admin, await server.create_key(admin="owner")))["refresh_token"]
    _, clients = await server.tokens()

    for client, foreign, own in ((http, admins, clients), (admin, clients, admins)):
        refused = await client.post("/auth/refresh", json={"refreshToken": foreign})
        assert (refused.status_code, refused.json()["reason"]) == (400, "malformed")
        assert (await client.post("/auth/refresh", json={"refreshToken": own})).status_code == 200


async def test_a_grant_is_refreshed_by_the_listener_of_its_key_and_by_no_other_one(server, admin, http):
    """A node from before admin keys exchanges one as any other key. Its refresh token looks like one of a client."""
    issuer, boss, other = server.app.issuer, await server.create_key(admin="owner"), await server.create_key()
    own = {"boss": await pair_of(admin, boss), "other": (await exchanged(http, other)).json()}
    forged = {
        "boss": await minted_by(issuer, own["boss"], issuer.secrets.refresh_tokens(ISSUER)),
        "other": await minted_by(issuer, own["other"], issuer.secrets.admin_refresh_tokens(ISSUER)),
    }

    refusals = [
        await http.post("/auth/refresh", json={"refreshToken": forged["boss"]}),
        await http.post("/oauth/token", data={"grant_type": "refresh_token", "refresh_token": forged["boss"]}),
        await admin.post("/auth/refresh", json={"refreshToken": forged["other"]}),
    ]

    assert [refused.status_code for refused in refusals] == [400] * 3
    assert [refused.json().get("reason") for refused in refusals] == ["unknown"] * 3
    for audience in (None, f"{ISSUER}/admin"):
        reader = await server.create_key(scope="introspect", audience=audience)
        for token in (own["boss"]["refresh_token"], forged["boss"]):
            asked = await http.post("/oauth/introspect", data={"token": token}, auth=(reader, ""))
            assert asked.json() == {"active": False}
    for client, name in ((admin, "boss"), (http, "other")):
        refreshed = await client.post("/auth/refresh", json={"refreshToken": own[name]["refresh_token"]})
        assert claims_of(refreshed.json()["refresh_token"])["gen"] == 1, "the refusals rotated nothing"


async def minted_by(issuer, pair, tokens) -> str:
    """The refresh token of a pair as other tokens make it."""
    claims = claims_of(pair["refresh_token"])
    ref = GrantRef(claims["client_id"], bytes.fromhex(claims["sid"]))
    grant = (await issuer.ledger.read(lambda store: store.grants([ref])))[ref]
    return tokens.mint(grant, claims["iat"]).decode()


async def test_an_admin_token_opens_no_api(server, admin, http):
    token = (await pair_of(admin, await server.create_key(admin="owner")))["access_token"]

    answer = await http.get("/auth/verify", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401
    assert 'error_description="audience"' in answer.headers["www-authenticate"]
    reader = await server.create_key(scope="introspect")
    asked = await http.post("/oauth/introspect", data={"token": token}, auth=(reader, ""))
    assert asked.json() == {"active": False}


async def test_a_key_with_the_audience_of_the_administration_and_no_role_is_not_a_caller(server, admin, http):
    """Such a key cannot be made by the administration. A restored or old database may have one."""
    api_key = await server.create_key(audience=f"{ISSUER}/admin", scope="keys:read")
    token = (await exchanged(http, api_key)).json()["access_token"]

    answer = await admin.get("/admin/v1/me", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_a_leaked_admin_key_is_ended_by_its_finder(server, admin, http):
    api_key = await server.create_key(admin="owner")
    token = (await pair_of(admin, api_key))["access_token"]

    assert (await http.post("/oauth/revoke", data={"token": api_key})).status_code == 200

    assert (await exchanged(admin, api_key)).json()["reason"] == "revoked"
    assert (await admin.get("/admin/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_a_clients_revocation_ends_the_grant_of_an_admin_refresh_token(server, admin, http):
    pair = await pair_of(admin, await server.create_key(admin="owner"))

    assert (await http.post("/oauth/revoke", data={"token": pair["refresh_token"]})).status_code == 200

    refused = await admin.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})
    assert refused.json()["reason"] == "revoked"


async def test_a_changed_role_changes_what_a_token_may_do_at_once(server, admin):
    boss = await server.create_key(admin="owner")
    helper = await server.create_key(admin="operator")
    bosses, helpers = await bearer(admin, boss), await bearer(admin, helper)
    new = {"name": "customer"}
    assert (await admin.post("/admin/v1/keys", json=new, headers=helpers)).status_code == 201

    path = f"/admin/v1/keys/{key_id_of(helper)}"
    assert (await admin.patch(path, json={"admin": "auditor"}, headers=helpers)).status_code == 403
    assert (await admin.patch(path, json={"admin": "auditor"}, headers=bosses)).status_code == 200

    assert (await admin.post("/admin/v1/keys", json=new, headers=helpers)).status_code == 403
    assert (await admin.get("/admin/v1/keys", headers=helpers)).status_code == 200
    assert (await admin.post(f"{path}/revoke", headers=bosses)).json() == {
        "key_id": key_id_of(helper),
        "changed": True,
    }
    assert (await admin.get("/admin/v1/keys", headers=helpers)).status_code == 401


async def test_nobody_makes_a_key_for_the_audience_of_the_administration(server, admin):
    headers = {
        "Authorization": f"Bearer {(await pair_of(admin, await server.create_key(admin='owner')))['access_token']}"
    }

    refused = await admin.post(
        "/admin/v1/keys", json={"name": "n", "audiences": ["x", f"{ISSUER}/admin"]}, headers=headers
    )

    assert (refused.status_code, refused.json()["problems"][0]["name"]) == (422, "audiences")


async def test_a_key_never_becomes_an_admin_key_and_an_admin_key_never_another_one(server, admin):
    headers = {
        "Authorization": f"Bearer {(await pair_of(admin, await server.create_key(admin='owner')))['access_token']}"
    }
    plain, other = await server.create_key(), await server.create_key(admin="auditor")

    for api_key, role in ((plain, "owner"), (other, None)):
        path = f"/admin/v1/keys/{key_id_of(api_key)}"
        assert (await admin.patch(path, json={"admin": role}, headers=headers)).status_code == 422
