"""A raw API key behind each proxy: in a header of the provider's own, and with an end that clients are told of."""

import datetime as dt

import httpx2
import pytest
from tests.proxies.conftest import identity

from hourpass.core.policy import DAY

ANNOUNCED = ("Sunset", "Deprecation")


@pytest.fixture(scope="module")
def ending(hourpass):
    """A key whose raw use ends in a day."""
    return hourpass.create_key("--scope", "videos.read", "--raw-until", "1d")["api_key"]


@pytest.fixture(scope="module")
def ended(hourpass):
    """A key whose raw use has ended."""
    made = hourpass.create_key("--scope", "videos.read", "--raw-until", "2020-01-01T00:00:00Z")
    return made["api_key"]


def test_a_key_in_its_own_header_reaches_the_route_and_the_api_does_not_see_it(proxy, reader):
    answer = proxy.client.get("/videos/1", headers={"X-API-Key": reader.api_key})

    assert answer.status_code == 200
    assert identity(answer)["hourpass-key-id"] == reader.key_id
    assert identity(answer)["hourpass-auth"] == "api-key"
    assert reader.api_key not in answer.text


def test_a_key_beside_a_token_does_not_reach_the_api(proxy, reader):
    """Two credentials are refused as two `Authorization` headers are."""
    answer = proxy.client.get("/me", headers={"X-API-Key": reader.api_key, **reader.bearer})

    assert answer.status_code in (400, 401)


@pytest.mark.parametrize("name", ["X_API_Key", "x-api_key", "X.API.KEY", "X-Api~Key"])
def test_a_key_in_another_spelling_is_not_a_credential_and_does_not_reach_the_api(name, proxy, reader):
    assert proxy.client.get("/me", headers={name: reader.api_key}).status_code == 401

    answer = proxy.client.get("/me", headers={name: reader.api_key, **reader.bearer})

    assert answer.status_code == 200
    assert reader.api_key not in answer.text


def test_two_keys_are_refused(proxy, reader):
    answer = proxy.client.get("/me", headers=[("X-API-Key", reader.api_key), ("X-API-Key", reader.api_key)])

    assert answer.status_code in (400, 401)


def test_an_empty_header_is_absent(proxy, reader):
    assert proxy.client.get("/me", headers={"X-API-Key": "", **reader.bearer}).status_code == 200
    assert proxy.client.get("/me", headers={"X-API-Key": ""}).status_code == 401


def test_a_wrong_key_is_refused_with_its_challenge(proxy, reader):
    answer = proxy.client.get("/me", headers={"X-API-Key": reader.api_key[:-1] + "!"})

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("way", ["basic", "header"])
def test_the_end_of_a_raw_key_is_announced_on_the_response(way, proxy, ending):
    """RFC 8594 §3, RFC 9745 §2."""
    options = {"auth": (ending, "")} if way == "basic" else {"headers": {"X-API-Key": ending}}
    answer = proxy.client.get("/videos", **options)

    assert answer.status_code == 200
    [sunset], [deprecation] = (answer.headers.get_list(name) for name in ANNOUNCED)
    at = dt.datetime.strptime(sunset, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
    assert 0 < (at - dt.datetime.now(dt.UTC)).total_seconds() <= DAY / 1_000
    assert deprecation.startswith("@")
    assert deprecation[1:].isdecimal()
    assert identity(answer)["hourpass-api-key-sunset"] == sunset
    assert identity(answer)["hourpass-api-key-deprecation"] == deprecation


def test_nothing_is_announced_to_a_token_and_to_a_key_without_an_end(proxy, reader):
    for options in ({"headers": reader.bearer}, {"auth": (reader.api_key, "")}):
        answer = proxy.client.get("/videos", **options)

        assert answer.status_code == 200
        assert not any(name in answer.headers for name in ANNOUNCED)


@pytest.mark.parametrize("name", ["Hourpass-Api-Key-Sunset", "hourpass_api_key_sunset"])
def test_a_client_cannot_announce_an_end(name, proxy, reader):
    answer = proxy.client.get("/videos", headers={name: "Sat, 01 Jan 2028 00:00:00 GMT", **reader.bearer})

    assert not any(name in answer.headers for name in ANNOUNCED)


def test_after_its_end_a_raw_key_is_refused_and_its_exchange_goes_on(proxy, ended):
    answer = proxy.client.get("/videos", headers={"X-API-Key": ended})

    assert answer.status_code == 401
    assert 'error_description="exchange_required"' in answer.headers["WWW-Authenticate"]
    pair = proxy.client.post("/auth/api-key", json={"apiKey": ended}).raise_for_status().json()
    good = proxy.client.get("/videos", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert good.status_code == 200


def test_the_token_endpoints_do_not_announce_anything(proxy, ending):
    answer: httpx2.Response = proxy.client.post("/auth/api-key", json={"apiKey": ending})

    assert answer.status_code == 200
    assert not any(name in answer.headers for name in ANNOUNCED)
