"""The redirect matrix: the token stays with the origin that was asked, and no other origin's 401 is believed."""

import pytest
from tests.client.adapters.clients import CLIENTS

KEEPS_METHOD, BECOMES_GET = 307, 303


def away(location, status=KEEPS_METHOD):
    return [(status, {"Location": location})]


@pytest.mark.parametrize("status", [KEEPS_METHOD, BECOMES_GET])
def test_the_same_origin_gets_the_token_after_a_redirect(client, api, endpoint, status):
    api.script = away("/there", status)

    assert client.send("POST", f"{api.url}/here", kind="bytes", body=b"body").status == 200
    assert [(one.path, one.authorization) for one in api.asked] == [
        ("/here", "Bearer access-1"),
        ("/there", "Bearer access-1"),
    ]
    assert endpoint.paths == ["api-key"]


@pytest.mark.parametrize("status", [KEEPS_METHOD, BECOMES_GET])
def test_a_401_after_a_redirect_within_the_origin_is_ours(client, api, endpoint, status):
    api.script = [*away(f"{api.url}/there", status), (401, {})]

    assert client.send("POST", f"{api.url}/here", kind="bytes", body=b"body").status == 200
    assert api.tokens[:3] == ["access-1", "access-1", "access-2"]
    assert endpoint.paths == ["api-key", "refresh"]


def test_a_replay_may_be_redirected(client, api, endpoint):
    api.script = [(401, {}), *away("/there")]

    assert client.send("GET", f"{api.url}/here").status == 200
    assert api.tokens == ["access-1", "access-2", "access-2"]
    assert endpoint.paths == ["api-key", "refresh"]


def elsewhere(start_api, api, where):
    """Another origin, and the server behind it."""
    other = start_api()
    host = "localhost" if where == "other host" else "127.0.0.1"
    return f"http://{host}:{other.port}/there", other


@pytest.mark.parametrize("where", ["other host", "other port"])
@pytest.mark.parametrize("answer", [200, 401])
@pytest.mark.parametrize("status", [KEEPS_METHOD, BECOMES_GET])
def test_another_origin_gets_no_token_and_its_401_costs_no_refresh(
    client, start_api, api, endpoint, where, answer, status
):
    url, other = elsewhere(start_api, api, where)
    api.script = away(url, status)
    other.script = [(answer, {"WWW-Authenticate": "Bearer"})]

    assert client.send("POST", api.url, kind="bytes", body=b"body").status == answer
    assert (api.tokens, other.tokens) == (["access-1"], [None])
    assert endpoint.paths == ["api-key"]


def test_the_same_server_under_another_name_is_another_origin(client, api, endpoint):
    api.script = away(f"http://localhost:{api.port}/there")

    assert client.send("GET", api.url).status == 401
    assert api.tokens == ["access-1", None]
    assert endpoint.paths == ["api-key"]


@pytest.mark.parametrize("answer", [200, 401])
def test_from_https_to_http_no_token_goes(open_client, make, tls_api, api, certificate, endpoint, answer):
    client = open_client(make(origins=[tls_api.url]), certificate)
    tls_api.script = away(f"{api.url}/there")
    api.script = [(answer, {})]

    assert client.send("GET", tls_api.url).status == answer
    assert (tls_api.tokens, api.tokens) == (["access-1"], [None])
    assert endpoint.paths == ["api-key"]


def test_over_https_the_strategy_is_the_same(open_client, make, tls_api, certificate, endpoint):
    tls_api.rejected = {"access-1"}

    assert open_client(make(origins=[tls_api.url]), certificate).send("GET", tls_api.url).status == 200
    assert tls_api.tokens == ["access-1", "access-2"]


def test_a_redirect_back_to_the_origin_does_not_bring_the_caller_s_credentials_to_another(client, start_api, api):
    other = start_api()
    api.script = away(other.url)

    assert client.send("GET", api.url, headers={"Authorization": "Basic eDo="}).status == 401
    assert ([one.authorization for one in api.asked], other.tokens) == (["Basic eDo="], [None])


@pytest.mark.parametrize("library", [name for name in CLIENTS if name != "aiohttp"])
def test_an_allowed_origin_gets_no_token_by_way_of_another(client, start_api, api):
    stranger = start_api()
    stranger.script = away(api.url)

    assert client.send("GET", stranger.url).status == 401
    assert (stranger.tokens, api.tokens) == ([None], [None])


@pytest.mark.parametrize("library", ["aiohttp"])
def test_aiohttp_judges_each_hop_by_its_target(open_client, library, make, start_api, api):
    """Its middlewares cannot know that a request is a redirect of another."""
    stranger, second = start_api(), start_api()
    client = open_client(make(origins=[api.url, second.url]))
    stranger.script = away(api.url)
    api.script = away(second.url)
    second.script = away(stranger.url)

    assert client.send("GET", stranger.url).status == 401
    assert (api.tokens, second.tokens) == (["access-1"], ["access-1"])
    assert stranger.tokens == [None, None]
