"""The 401 strategy of stay-authenticated.md, as every HTTP library carries it out."""

import json
import time

import pytest
from tests.client.conftest import NOW

from hourpass.client.file_token import FileToken
from hourpass.core.errors import Unavailable


def test_a_request_carries_the_token(client, api):
    """RFC 6750 §2.1."""
    assert client.send("GET", api.url).status == 200
    assert api.asked[0].authorization == "Bearer access-1"


def test_a_rejected_token_is_refreshed_and_the_request_sent_again(client, api, endpoint):
    api.rejected = {"access-1"}

    assert client.send("POST", f"{api.url}/videos?page=2", kind="json", body={"a": 1}).status == 200
    assert api.tokens == ["access-1", "access-2"]
    assert [(one.method, one.path, json.loads(one.body)) for one in api.asked] == [
        ("POST", "/videos?page=2", {"a": 1})
    ] * 2
    assert endpoint.paths == ["api-key", "refresh"]


def test_the_caller_s_own_authorization_wins(client, api, endpoint):
    api.script = [(401, {})]

    assert client.send("GET", api.url, headers={"authorization": "Basic eDo="}).status == 401
    assert [one.authorization for one in api.asked] == ["Basic eDo="]
    assert endpoint.paths == [], "nothing was asked of the token server"


def test_an_origin_that_is_not_allowed_gets_no_token(client, start_api, endpoint):
    stranger = start_api()

    assert client.send("GET", stranger.url).status == 401
    assert stranger.tokens == [None]
    assert endpoint.paths == []


@pytest.mark.parametrize("status", [400, 403, 407, 429, 503])
def test_every_other_refusal_passes_through(client, api, endpoint, status):
    api.script = [(status, {"WWW-Authenticate": "Bearer", "Retry-After": "1"})]

    assert client.send("GET", api.url).status == status
    assert (len(api.asked), endpoint.paths) == (1, ["api-key"])


@pytest.mark.parametrize(
    ("challenge", "is_ours"),
    [
        pytest.param(None, True, id="no challenge"),
        pytest.param("Bearer", True, id="Bearer alone"),
        pytest.param('Bearer error="invalid_token"', True, id="invalid_token"),
        pytest.param('Basic realm="x"\nBearer error="invalid_token"', True, id="two header lines"),
        pytest.param('Basic realm="a, b", Bearer realm="x"', True, id="two in one line"),
        pytest.param('Bearer error="insufficient_scope"', False, id="insufficient_scope"),
        pytest.param('Bearer error="invalid_request"', False, id="invalid_request"),
        pytest.param('Basic realm="x"', False, id="another scheme"),
    ],
)
def test_the_challenge_says_whose_401_it_is(client, api, endpoint, challenge, is_ours):
    """RFC 6750 §3.1."""
    api.script = [(401, {} if challenge is None else {"WWW-Authenticate": challenge})]

    assert client.send("GET", api.url).status == (200 if is_ours else 401)
    assert endpoint.paths == ["api-key", *["refresh"] * is_ours]


def test_a_late_401_replays_without_a_refresh(client, api, source, endpoint):
    old = source.credential()
    api.judge = _refreshing_meanwhile(api.judge, source, old)

    assert client.send("GET", api.url).status == 200
    assert api.tokens == ["access-1", "access-2"]
    assert endpoint.paths == ["api-key", "refresh"]


def _refreshing_meanwhile(judge, source, old):
    def judging(asked):
        if asked.authorization == f"Bearer {old.access_token}":
            source.refresh(rejected=old.number)
            return 401, {}
        return judge(asked)

    def recording(asked):
        answer = judging(asked)
        if answer[0] == 401:
            judge.__self__.asked.append(asked)
        return answer

    return recording


def test_a_server_that_rejects_every_token_gets_one_refresh_and_three_sends_of_a_request(client, api, endpoint, caplog):
    api.script = [(401, {})] * 9

    assert client.send("GET", api.url) == (401, "401")
    assert api.tokens == ["access-1", "access-2", "access-2"]
    assert endpoint.paths == ["api-key", "refresh"]
    assert "keeps rejecting" in caplog.text


def test_a_server_that_rejects_every_token_cannot_burn_more_than_five(client, api, endpoint, caplog):
    api.script = [(401, {})] * 99

    assert {client.send("GET", api.url).status for _ in range(12)} == {401}
    assert endpoint.paths == ["api-key", *["refresh"] * 4], "five tokens, then the breaker is open"
    assert "too many new tokens" in caplog.text
    assert "access-" not in caplog.text


@pytest.mark.parametrize("library", ["requests", "aiohttp"])
def test_retry_after_is_waited_for(client, api):
    api.script = [(401, {"Retry-After": "1"})]
    began = time.monotonic()

    assert client.send("GET", api.url).status == 200
    assert 1 <= time.monotonic() - began < 5


def test_a_retry_after_beyond_the_budget_is_the_caller_s_to_wait_for(client, api, endpoint):
    api.script = [(401, {"Retry-After": "10"})]

    assert client.send("GET", api.url).status == 401
    assert endpoint.paths == ["api-key"]


def test_if_the_refresh_fails_the_401_goes_to_the_caller(client, api, endpoint, source, caplog):
    source.token()
    endpoint.script = [400, 400]
    api.rejected = {"access-1"}

    assert client.send("GET", api.url) == (401, "401")
    assert "a 401 goes to the caller" in caplog.text


def test_without_any_token_nothing_is_sent(client, api, endpoint):
    endpoint.script = [503]

    with pytest.raises(Unavailable):
        client.send("GET", api.url)
    assert api.asked == []


def test_an_expired_token_is_never_sent(client, api, source, clock):
    clock.now = source.credential().hard

    assert client.send("GET", api.url).status == 200
    assert api.tokens == ["access-2"]


def test_a_token_file_serves_as_a_source(open_client, api, tmp_path, clock):
    path = tmp_path / "token"
    path.write_text("first")
    client = open_client(FileToken(path, origins=[api.url], clock=clock, wall=clock))
    assert client.send("GET", api.url).status == 200

    api.rejected = {"first"}
    path.write_text("second")

    assert client.send("GET", api.url).status == 200
    assert api.tokens == ["first", "first", "second"]
    assert clock() == NOW, "it has looked before its time"
