"""Envoy's own jwt_authn with hourpass's JWK Set: nobody asks hourpass about a request."""

import pytest
from tests.proxies.conftest import FORGED, identity
from tests.proxies.proxies import EnvoyByItself


@pytest.fixture(scope="module")
def envoy(start, hourpass):
    running = start(EnvoyByItself, hourpass.port)
    yield running
    running.stop()


def test_no_token_is_401_with_a_challenge(envoy):
    answer = envoy.client.get("/videos")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


def test_a_good_token_reaches_the_api_with_its_identity(envoy, reader):
    answer = envoy.client.get("/videos", headers=reader.bearer)
    received = identity(answer)

    assert answer.status_code == 200
    assert received.pop("hourpass-grant")
    assert received == {
        "hourpass-subject": reader.key_id,
        "hourpass-key-id": reader.key_id,
        "hourpass-scope": "videos.read",
        "hourpass-environment": "production",
        "hourpass-auth": "bearer",
    }
    assert "authorization" not in {name.lower() for name, _ in answer.json()["headers"]}


def test_an_api_key_is_refused_and_beside_a_token_it_does_not_reach_the_api(envoy, reader):
    key = {"X-API-Key": reader.api_key}

    assert envoy.client.get("/videos", headers=key).status_code == 401
    answer = envoy.client.get("/videos", headers={**key, **reader.bearer})
    assert answer.status_code == 200
    assert reader.api_key not in answer.text


@pytest.mark.parametrize("spelling", ["Hourpass-Subject", "hourpass_subject", "HOURPASS.SUBJECT", "Hourpass-Auth"])
def test_a_forged_identity_never_arrives(spelling, envoy, reader):
    answer = envoy.client.get("/anything", headers={spelling: "forged", **reader.bearer})

    assert answer.status_code == 200
    assert "forged" not in answer.text


@pytest.mark.parametrize("name", ["x_api_key", "X.Api.Key", "X~Api-Key"])
def test_an_api_key_in_another_spelling_does_not_reach_the_api(name, envoy, reader):
    answer = envoy.client.get("/anything", headers={name: reader.api_key, **reader.bearer})

    assert answer.status_code == 200
    assert reader.api_key not in answer.text


def test_with_its_optional_lines_a_claim_is_in_a_header_and_never_the_clients(start, hourpass, make_key, reader):
    claiming = start(type("Claiming", (EnvoyByItself,), {"optional": ("#claim ",)}), hourpass.port)
    acme = make_key("--scope", "videos.read", "--claim", "tenant=acme")
    for key, tenants in ((acme, ["acme"]), (reader, [])):
        for name in ("X-Tenant", "x_tenant", "X.TENANT"):
            headers = {name: FORGED, "Connection": "X-Tenant", **key.bearer}
            answer = claiming.client.get("/videos", headers=headers).json()
            received = [value for name, value in answer["headers"] if name.lower().endswith("tenant")]
            assert received == tenants
    claiming.stop()


@pytest.mark.parametrize("path", ["/videos", "/VIDEOS/1", "/anything", "/me;/videos"])
def test_without_the_scope_of_the_route_or_of_every_route_it_is_403(path, envoy, reader, stranger):
    assert envoy.client.get(path, headers=stranger.bearer).status_code == 403
    assert envoy.client.get(path, headers=reader.bearer).status_code == 200


def test_a_route_for_any_good_token_takes_any(envoy, stranger):
    assert envoy.client.get("/me", headers=stranger.bearer).status_code == 200


def test_a_token_of_the_sandbox_is_403(envoy, make_key):
    sandbox = make_key("--scope", "videos.read", "--environment", "sandbox")

    assert [envoy.client.get(path, headers=sandbox.bearer).status_code for path in ("/anything", "/videos")] == [
        403,
        403,
    ]
    assert envoy.client.get("/.well-known/jwks.json", headers=sandbox.bearer).status_code == 200


def test_two_authorization_headers_are_refused(envoy, reader):
    credential = ("Authorization", reader.bearer["Authorization"])
    for headers in ([credential, credential], [credential, ("Authorization", "Bearer x")]):
        assert envoy.client.get("/anything", headers=headers).status_code == 401


def test_a_refresh_token_a_key_and_a_token_in_the_query_are_refused(envoy, reader):
    """RFC 6750 §2.3: not in the query, because logs keep it. Envoy answers 403 to a token for another audience."""
    refresh = {"Authorization": f"Bearer {reader.refresh_token}"}

    assert envoy.client.get("/anything", headers=refresh).status_code == 403
    assert envoy.client.get("/anything", auth=(reader.api_key, "")).status_code == 401
    assert envoy.client.get("/anything", params={"access_token": reader.access_token}).status_code == 401


def test_a_changed_token_is_refused(envoy, reader):
    changed = {"Authorization": f"{reader.bearer['Authorization'][:-4]}AAAA"}

    assert envoy.client.get("/anything", headers=changed).status_code == 401


def test_the_token_endpoints_need_no_token(envoy, reader):
    answer = envoy.client.post("/auth/api-key", json={"apiKey": reader.api_key})

    assert answer.status_code == 200
    assert answer.headers.get_list("Content-Type") == ["application/json"]


def test_a_stopped_hourpass_changes_nothing_while_the_keys_are_fresh(envoy, hourpass, reader):
    hourpass.kill()
    try:
        answer = envoy.client.get("/anything", headers=reader.bearer)
    finally:
        hourpass.restart()

    assert answer.status_code == 200
