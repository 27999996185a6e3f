"""Unmodified OAuth 2 clients and curl against a real server."""

import json
import shutil
import subprocess

import pytest
from authlib.integrations.requests_client import OAuth2Session
from oauthlib.oauth2 import BackendApplicationClient
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
    """oauthlib wants TLS, or to be told that there is none on purpose."""
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


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_curl_as_in_the_source(serve):
    server = serve()
    key = server.create_key()["api_key"]

    def post(path: str, body: dict) -> dict:
        headers = ["--header", "Accept: application/json", "--header", "Content-Type: application/json"]
        command = ["curl", "-s", "--request", "POST", "--url", server.url + path, *headers, "--data", json.dumps(body)]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    first = post("/auth/api-key", {"apiKey": key})
    second = post("/auth/refresh", {"refreshToken": first["refresh_token"]})

    assert list(first) == ["token_type", "expires_in", "access_token", "refresh_token"]
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    assert second["refresh_token"] != first["refresh_token"]
