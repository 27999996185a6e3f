"""`GET /.well-known/oauth-authorization-server`: what is offered, at the URL that the operator configured."""

import pytest

PATH = "/.well-known/oauth-authorization-server"


@pytest.mark.anyio
async def test_the_metadata_names_every_endpoint_and_nothing_else(http):
    """contract.md, "Discovery": the metadata says `response_types_supported: ["none"]`."""
    answer = await http.get(PATH)

    url = "http://hourpass.test"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "issuer": url,
        "token_endpoint": f"{url}/oauth/token",
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "revocations_uri": f"{url}/auth/revocations",
        "revocation_endpoint": f"{url}/oauth/revoke",
        "introspection_endpoint": f"{url}/oauth/introspect",
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "response_types_supported": ["none"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    "header",
    [
        {"host": "evil.test"},
        {"x-forwarded-host": "evil.test"},
        {"x-forwarded-proto": "https"},
        {"forwarded": "host=evil.test;proto=https"},
        {"x-original-url": "/evil"},
    ],
    ids=lambda header: next(iter(header)),
)
async def test_the_issuer_is_configuration_and_never_taken_from_a_request(server, http, header):
    """contract.md, "Discovery": never taken from Host or Forwarded."""
    metadata = await http.get(PATH, headers=header)
    token = await http.post("/auth/api-key", json={"apiKey": await server.create_key()}, headers=header)
    verified = await http.get(
        "/auth/verify", headers={**header, "authorization": f"Bearer {token.json()['access_token']}"}
    )

    assert metadata.json()["issuer"] == "http://hourpass.test"
    assert verified.status_code == 204


@pytest.mark.anyio
async def test_every_endpoint_that_is_named_is_there(http):
    metadata = (await http.get(PATH)).json()

    for name, url in metadata.items():
        if name.endswith("_endpoint"):
            assert (await http.post(url, data={"token": "x"})).status_code in (200, 400, 401), name
    assert (await http.get(metadata["jwks_uri"])).status_code == 200
