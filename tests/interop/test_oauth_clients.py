"""Unmodified OAuth 2 clients against a real server."""

import pytest
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests_oauthlib import OAuth2Session as RequestsSession


def test_authlib_gets_refreshes_introspects_and_revokes(serve):
    server = serve()
    made = server.create_key("--scope", "videos.read introspect")
    client = OAuth2Session(made["key_id"], made["api_key"], scope="videos.read")
    endpoint = f"{server.url}/oauth/token"

    first = client.fetch_token(endpoint, grant_type="client_credentials")
    second = client.refresh_token(endpoint, refresh_token=first["refresh_token"])
    introspector = OAuth2Session(made["key_id"], made["api_key"])
    active = introspector.introspect_token(f"{server.url}/oauth/introspect", token=second["access_token"]).json()
    client.revoke_token(f"{server.url}/oauth/revoke", token=second["refresh_token"])
    ended = introspector.introspect_token(f"{server.url}/oauth/introspect", token=second["access_token"]).json()

    assert (first["scope"], first["expires_in"], first["token_type"]) == ("videos.read", 3600, "Bearer")
    assert (active["active"], active["scope"]) == (True, "videos.read")
    assert ended == {"active": False}


def test_requests_oauthlib_gets_and_refreshes(serve, monkeypatch):
    """oauthlib demands TLS, or a variable that says it is missing on purpose."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    server = serve()
    made = server.create_key("--scope", "videos.read")
    session = RequestsSession(client=BackendApplicationClient(made["key_id"]))
    endpoint = f"{server.url}/oauth/token"

    first = session.fetch_token(endpoint, client_id=made["key_id"], client_secret=made["api_key"])
    second = session.refresh_token(endpoint, refresh_token=first["refresh_token"])

    assert second["access_token"] != first["access_token"]
    assert session.get(f"{server.url}/auth/verify").status_code == 204
    session.close()


def test_authlib_refreshes_an_expired_token_by_itself(demo):
    """Its clock is the `expires_at` it keeps. The next request refreshes first."""
    saved = []
    client = OAuth2Session(
        demo.key_id,
        demo.api_key,
        token_endpoint=f"{demo.url}/oauth/token",
        update_token=lambda token, refresh_token=None, access_token=None: saved.append(token),
    )
    first = client.fetch_token(grant_type="client_credentials")
    client.token = {**first, "expires_at": 1}

    assert len(client.get(f"{demo.url}/videos").json()["data"]) == 12
    assert [token["access_token"] for token in saved] == [client.token["access_token"]]
    assert saved[0]["access_token"] != first["access_token"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_proves_itself_either_way_and_understands_a_refusal(demo, method):
    """RFC 6749 §2.3.1, and `invalid_client` of §5.2."""
    endpoint = f"{demo.url}/oauth/token"
    good = OAuth2Session(demo.key_id, demo.api_key, token_endpoint_auth_method=method)
    bad = OAuth2Session(demo.key_id, "nonsense", token_endpoint_auth_method=method)

    assert good.fetch_token(endpoint, grant_type="client_credentials")["expires_in"] == 3600
    with pytest.raises(OAuthError, match="invalid_client"):
        bad.fetch_token(endpoint, grant_type="client_credentials")


def test_requests_oauthlib_refreshes_an_expired_token_by_itself(demo, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    saved = []
    session = RequestsSession(
        client=BackendApplicationClient(demo.key_id),
        auto_refresh_url=f"{demo.url}/oauth/token",
        token_updater=saved.append,
    )
    first = session.fetch_token(f"{demo.url}/oauth/token", client_secret=demo.api_key)
    session.token = {**first, "expires_at": 1, "expires_in": -1}

    assert len(session.get(f"{demo.url}/videos").json()["data"]) == 12
    assert [token["refresh_token"] != first["refresh_token"] for token in saved] == [True]
    session.close()


def test_requests_oauthlib_understands_a_refused_refresh_token(demo, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    session = RequestsSession(client=BackendApplicationClient(demo.key_id), token={"access_token": "x"})

    with pytest.raises(InvalidGrantError):
        session.refresh_token(f"{demo.url}/oauth/token", refresh_token="nonsense")
    session.close()
