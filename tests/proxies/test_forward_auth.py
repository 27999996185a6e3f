"""The work of each proxy with hourpass's answers: who gets through, who does not, and with which message."""

import time

import pytest
from tests.proxies.conftest import identity

WHEN_STOPPED = {"nginx": 503, "caddy": 502, "traefik": 500, "envoy": 503, "haproxy": 503}
"""The answer of each proxy for a hourpass that is away."""


def test_without_a_token_it_is_401_with_the_challenge(proxy):
    """RFC 6750 §3: no error code without a credential."""
    answer = proxy.client.get("/anything")

    assert answer.status_code == 401
    assert answer.headers.get_list("WWW-Authenticate") == ['Bearer realm="hourpass"']


def test_a_good_token_reaches_the_api(proxy, reader):
    answer = proxy.client.get("/anything?page=2", headers=reader.bearer)

    assert answer.status_code == 200
    assert (answer.json()["method"], answer.json()["path"]) == ("GET", "/anything?page=2")


def test_a_clients_own_query_asks_hourpass_for_nothing(proxy, stranger):
    """Neither does it lower the route's scope, nor is it taken for the operator's typing error."""
    statuses = [
        proxy.client.get(path, headers=stranger.bearer).status_code
        for path in ("/me?scope=nobodys", "/me?scopes", "/videos?scope=captions.read", "/videos?&scope=")
    ]

    assert statuses == [200, 200, 403, 403]


def test_a_bad_token_is_401_and_the_challenge_says_why(proxy, reader):
    answer = proxy.client.get("/anything", headers={"Authorization": reader.bearer["Authorization"][:-4] + "AAAA"})

    assert answer.status_code == 401
    assert 'error="invalid_token", error_description="signature"' in answer.headers["WWW-Authenticate"]


def test_a_refresh_token_is_refused_as_an_access_token(proxy, reader):
    answer = proxy.client.get("/anything", headers={"Authorization": f"Bearer {reader.refresh_token}"})

    assert answer.status_code == 401


@pytest.mark.parametrize("second", ["reader", "nonsense"])
def test_two_authorization_headers_are_refused(second, proxy, reader):
    """RFC 9110 §5.3: a field that is not a list may come once."""
    values = [reader.bearer["Authorization"], reader.bearer["Authorization"] if second == "reader" else "Bearer x"]
    for order in (values, values[::-1]):
        answer = proxy.client.get("/anything", headers=[("Authorization", value) for value in order])

        assert answer.status_code in (400, 401)


def test_a_token_with_the_scope_reaches_the_route(proxy, reader):
    assert proxy.client.get("/videos/1", headers=reader.bearer).status_code == 200


def test_without_the_routes_scope_it_is_403_with_the_challenge(proxy, stranger):
    """RFC 6750 §3.1: not 401, or clients would refresh for ever."""
    answer = proxy.client.get("/videos", headers=stranger.bearer)

    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="videos.read"' in answer.headers["WWW-Authenticate"]


def test_an_api_key_works_by_basic(proxy, reader):
    """The source calls the token optional. Basic is a source by default."""
    answer = proxy.client.get("/videos", auth=(reader.api_key, ""))

    assert answer.status_code == 200
    assert identity(answer)["hourpass-auth"] == "api-key"


def test_a_wrong_api_key_is_401(proxy, reader):
    assert proxy.client.get("/videos", auth=(reader.api_key[:-1] + "!", "")).status_code == 401


@pytest.mark.parametrize("path", ["/anything", "/videos"])
def test_an_allow_list_judges_the_address_that_the_proxy_saw(path, listed, proxy):
    """X-Forwarded-For from the client is a claim."""
    key, allowed = listed
    answer = proxy.client.get(path, auth=(key, ""), headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.status_code == (200 if allowed else 401)


def test_an_exchange_is_judged_by_that_address_too(listed, proxy):
    key, allowed = listed
    answer = proxy.client.post("/auth/api-key", json={"apiKey": key}, headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.status_code == (200 if allowed else 400)


def test_a_revoked_token_is_refused_within_a_second(proxy, make_key):
    key = make_key()
    assert proxy.client.get("/me", headers=key.bearer).status_code == 200

    proxy.client.post("/oauth/revoke", data={"token": key.access_token}).raise_for_status()
    deadline = time.monotonic() + 1
    answer = proxy.client.get("/me", headers=key.bearer)
    while answer.status_code == 200 and time.monotonic() < deadline:
        answer = proxy.client.get("/me", headers=key.bearer)

    assert answer.status_code == 401
    assert 'error_description="revoked"' in answer.headers["WWW-Authenticate"]


def test_a_stopped_hourpass_lets_nobody_in_and_blames_no_token(proxy, hourpass, reader):
    hourpass.kill()
    try:
        answers = [
            proxy.client.get("/anything", headers=reader.bearer),
            proxy.client.get("/anything"),
            proxy.client.get("/videos", auth=(reader.api_key, "")),
            proxy.client.post("/auth/refresh", json={"refreshToken": "x"}),
        ]
    finally:
        hourpass.restart()

    assert [answer.status_code for answer in answers[:3]] == [WHEN_STOPPED[proxy.name]] * 3
    assert answers[3].status_code >= 500
    assert not any("WWW-Authenticate" in answer.headers for answer in answers)
    assert proxy.client.get("/anything", headers=reader.bearer).status_code == 200
