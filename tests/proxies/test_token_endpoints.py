"""hourpass's own endpoints through each proxy, byte for byte as official clients expect them."""

import pytest


@pytest.fixture
def exchanged(proxy, reader):
    return proxy.client.post("/auth/api-key", json={"apiKey": reader.api_key})


def test_an_exchange_passes_unchanged(exchanged):
    """A charset parameter in the content type breaks an official client."""
    assert exchanged.status_code == 200
    assert exchanged.headers.get_list("Content-Type") == ["application/json"]
    assert exchanged.headers["Cache-Control"] == "no-store"
    assert list(exchanged.json()) == ["token_type", "expires_in", "access_token", "refresh_token"]


def test_a_refresh_passes_unchanged(proxy, exchanged):
    answer = proxy.client.post("/auth/refresh", json={"refreshToken": exchanged.json()["refresh_token"]})
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    assert answer.status_code == 200
    assert answer.headers.get_list("Content-Type") == ["application/json"]
    assert answer.json()["refresh_token"] != exchanged.json()["refresh_token"]
    assert proxy.client.get("/videos", headers=bearer).status_code == 200


@pytest.mark.parametrize("authorization", ["Bearer expired", "Basic Og==", ""], ids=["bearer", "basic", "empty"])
def test_the_proxy_does_not_judge_a_credential_on_a_token_endpoint(authorization, proxy, reader):
    """Clients send an old token, or an empty header, along with the exchange."""
    headers = {"Authorization": authorization}
    answer = proxy.client.post("/auth/api-key", json={"apiKey": reader.api_key}, headers=headers)

    assert answer.status_code == 200


def test_a_refusal_is_the_problem_that_hourpass_wrote(proxy):
    answer = proxy.client.post("/auth/api-key", json={"apiKey": "wrong"})

    assert answer.status_code == 400
    assert answer.headers.get_list("Content-Type") == ["application/problem+json"]
    assert answer.json()["title"] == "The user credentials were incorrect."


def test_an_oauth_client_gets_its_token_and_its_challenge(proxy, reader):
    """RFC 6749 §2.3.1 and §5.2."""
    form = {"grant_type": "client_credentials"}
    good = proxy.client.post("/oauth/token", data=form, auth=(reader.key_id, reader.api_key))
    bad = proxy.client.post("/oauth/token", data=form, auth=(reader.key_id, "wrong"))

    assert (good.status_code, good.json()["scope"]) == (200, "videos.read")
    assert (bad.status_code, bad.headers["WWW-Authenticate"]) == (401, 'Basic realm="hourpass"')
    assert bad.headers.get_list("Content-Type") == ["application/json"]


def test_discovery_needs_no_token(proxy):
    keys = proxy.client.get("/.well-known/jwks.json")
    metadata = proxy.client.get("/.well-known/oauth-authorization-server")

    assert keys.json()["keys"]
    assert "max-age" in keys.headers["Cache-Control"]
    assert metadata.json()["issuer"] == "https://api.example.com"
