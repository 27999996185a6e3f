"""`POST /auth/api-key`: an API key goes in, the first pair of a grant comes out."""

import json

import pytest
from tests.server.conftest import claims_of, key_id_of, nobodys_key, other_secret

from hourpass.core.policy import SECOND

PAYLOAD = "The payload is invalid."
ATTRIBUTES = "Invalid attributes."
CREDENTIALS = "The user credentials were incorrect."


@pytest.mark.anyio
async def test_an_exchange_answers_exactly_four_members(server, http):
    """contract.md, "Token endpoints"."""
    answer = await http.post("/auth/api-key", json={"apiKey": await server.create_key()})

    assert answer.status_code == 200
    assert list(answer.json()) == ["token_type", "expires_in", "access_token", "refresh_token"]
    assert answer.json()["token_type"] == "Bearer"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.anyio
async def test_the_token_says_what_the_key_owns(server, http):
    key = await server.create_key(scope="b a", subject="account-7", environment="sandbox", audience="https://api.test")

    token = (await http.post("/auth/api-key", json={"apiKey": key})).json()["access_token"]

    claims = claims_of(token)
    said = {name: claims[name] for name in ("sub", "scope", "env", "aud", "client_id", "iss")}
    assert said == {
        "sub": "account-7",
        "scope": "a b",
        "env": "sandbox",
        "aud": "https://api.test",
        "client_id": key_id_of(key),
        "iss": "http://hourpass.test",
    }


@pytest.mark.anyio
async def test_each_exchange_opens_a_grant_of_its_own(server):
    key = await server.create_key()

    first, second = await server.exchange(key), await server.exchange(key)

    assert claims_of(first.access_token)["sid"] != claims_of(second.access_token)["sid"]


UNREADABLE = {
    "empty": (b"", PAYLOAD, ""),
    "not JSON": (b"apiKey=x", PAYLOAD, ""),
    "cut short": (b'{"apiKey":"x"', PAYLOAD, ""),
    "two documents": (b'{"apiKey":"x"}{}', PAYLOAD, ""),
    "a comment": (b'{"apiKey":"x"}//', PAYLOAD, ""),
    "a byte order mark": (b'\xef\xbb\xbf{"apiKey":"x"}', PAYLOAD, ""),
    "an array": (b'["apiKey"]', PAYLOAD, ""),
    "a string": (b'"apiKey"', PAYLOAD, ""),
    "null": (b"null", PAYLOAD, ""),
    "not UTF-8": (b'{"apiKey":"\xff"}', PAYLOAD, ""),
    "UTF-16": ('{"apiKey":"x"}'.encode("utf-16"), PAYLOAD, ""),
    "half a surrogate pair": (b'{"apiKey":"\\ud800"}', PAYLOAD, ""),
    "a bare control character": (b'{"apiKey":"\x00"}', PAYLOAD, ""),
    "a number out of range": (b'{"apiKey":"x","expiresIn":1e999}', PAYLOAD, ""),
    "member missing": (b"{}", ATTRIBUTES, "apiKey"),
    "member null": (b'{"apiKey":null}', ATTRIBUTES, "apiKey"),
    "member a number": (b'{"apiKey":7}', ATTRIBUTES, "apiKey"),
    "member an object": (b'{"apiKey":{}}', ATTRIBUTES, "apiKey"),
    "scope a list": (b'{"apiKey":"x","scope":["a"]}', ATTRIBUTES, "scope"),
    "lifetime a word": (b'{"apiKey":"x","expiresIn":"60"}', ATTRIBUTES, "expiresIn"),
    "lifetime a fraction": (b'{"apiKey":"x","expiresIn":1.5}', ATTRIBUTES, "expiresIn"),
    "lifetime a boolean": (b'{"apiKey":"x","expiresIn":true}', ATTRIBUTES, "expiresIn"),
    "audience a number": (b'{"apiKey":"x","audience":1}', ATTRIBUTES, "audience"),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("body", "title", "name"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_body_that_cannot_be_read_is_400_and_names_the_member(http, body, title, name):
    """contract.md, "Errors", first row."""
    answer = await http.post("/auth/api-key", content=body)

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": title, "name": name, "status": 400}
    assert answer.status_code == 400


@pytest.mark.anyio
async def test_several_wrong_members_are_all_named(http):
    """contract.md, "Errors": `problems: […]` when there are several."""
    answer = await http.post("/auth/api-key", json={"apiKey": 1, "scope": 2})

    assert {problem["name"] for problem in answer.json()["problems"]} == {"apiKey", "scope"}


@pytest.mark.anyio
@pytest.mark.parametrize(("depth", "status"), [(16, 200), (17, 400)])
async def test_json_is_read_to_a_depth_of_16(server, http, depth, status):
    """contract.md, "Limits". The body's own object is the first level."""
    nested = "[" * (depth - 1) + "]" * (depth - 1)
    body = f'{{"apiKey":"{await server.create_key()}","more":{nested}}}'

    assert (await http.post("/auth/api-key", content=body)).status_code == status


@pytest.mark.anyio
async def test_brackets_inside_a_string_are_not_depth(server, http):
    body = {"apiKey": await server.create_key(), "more": '[{"\\' * 20}

    assert (await http.post("/auth/api-key", json=body)).status_code == 200


@pytest.mark.anyio
async def test_unknown_members_are_ignored(server, http):
    body = {"apiKey": await server.create_key(), "refreshToken": None, "grant_type": 7, "": {}}

    assert (await http.post("/auth/api-key", json=body)).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(("asked", "lifetime"), [(1, 1), (600, 600), (3600, 3600), (3601, 3600), (10**30, 3600)])
async def test_a_requested_lifetime_only_shortens(server, http, asked, lifetime):
    body = {"apiKey": await server.create_key(), "expiresIn": asked}

    answer = (await http.post("/auth/api-key", json=body)).json()

    assert answer["expires_in"] == lifetime
    assert claims_of(answer["access_token"])["exp"] == server.clock() // SECOND + lifetime


REFUSED_REQUESTS = {
    "no lifetime": ("expiresIn", 0),
    "a lifetime before now": ("expiresIn", -1),
    "a scope that is not owned": ("scope", "a b"),
    "a scope that breaks the grammar": ("scope", 'a"'),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "asked"), REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS.keys())
async def test_a_request_beyond_the_key_is_refused_by_name(server, http, name, asked):
    answer = await http.post("/auth/api-key", json={"apiKey": await server.create_key(scope="a"), name: asked})

    assert answer.json() == {"type": "about:blank", "title": ATTRIBUTES, "name": name, "status": 400}


@pytest.mark.anyio
@pytest.mark.parametrize(("asked", "granted"), [("a", "a"), ("b a", "a b"), ("", ""), ("a  a", "a")])
async def test_a_requested_scope_narrows(server, http, asked, granted):
    body = {"apiKey": await server.create_key(scope="a b c"), "scope": asked}

    assert claims_of((await http.post("/auth/api-key", json=body)).json()["access_token"])["scope"] == granted


@pytest.mark.anyio
async def test_the_keys_own_audience_may_be_asked_for(server, http):
    body = {"apiKey": await server.create_key(audience="https://api.test"), "audience": "https://api.test"}

    assert (await http.post("/auth/api-key", json=body)).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("audience", ["https://elsewhere.test", "", "http://hourpass.test/", "HTTP://hourpass.test"])
@pytest.mark.parametrize("path", ["/auth/api-key", "/auth/refresh"])
async def test_another_audience_is_an_invalid_target_and_burns_nothing(server, http, path, audience):
    """RFC 8707 §2, in the words of this endpoint."""
    key = await server.create_key()
    token = (await server.exchange(key)).refresh_token.decode()
    given = {"apiKey": key} if path == "/auth/api-key" else {"refreshToken": token}

    answer = await http.post(path, json={**given, "audience": audience})

    expected = {"type": "about:blank", "title": ATTRIBUTES, "name": "audience", "status": 400}
    assert answer.json() == {**expected, "reason": "invalid_target"}
    assert claims_of((await server.refresh(token)).refresh_token)["gen"] == 1


@pytest.mark.anyio
async def test_the_servers_audience_may_be_asked_for_with_a_key_that_names_none(server, http):
    key = await server.create_key()
    first = await http.post("/auth/api-key", json={"apiKey": key, "audience": "http://hourpass.test"})
    body = {"refreshToken": first.json()["refresh_token"], "audience": "http://hourpass.test"}

    assert (await http.post("/auth/refresh", json=body)).status_code == 200


@pytest.mark.anyio
async def test_every_unproven_key_gets_the_same_answer(server, http):
    """contract.md, "Errors": one text for all, so that nobody learns which key ids exist."""
    genuine = await server.create_key()
    guesses = [other_secret(genuine), nobodys_key(), genuine[:-1], genuine + "0", genuine.upper(), "", "é"]

    answers = [await http.post("/auth/api-key", json={"apiKey": guess}) for guess in guesses]

    assert {answer.content for answer in answers} == {
        json.dumps(
            {"type": "about:blank", "title": CREDENTIALS, "name": "", "status": 400}, separators=(",", ":")
        ).encode()
    }


@pytest.mark.anyio
async def test_an_expired_key_is_told_so_at_exactly_its_end(server, http):
    """contract.md, "Errors": `reason` only if the key itself was proven."""
    key = await server.create_key(expires_in=60 * SECOND)
    server.clock.advance(59.999)
    assert (await http.post("/auth/api-key", json={"apiKey": key})).status_code == 200

    server.clock.advance(0.001)
    answer = await http.post("/auth/api-key", json={"apiKey": key})

    assert (answer.status_code, answer.json()["title"], answer.json()["reason"]) == (400, CREDENTIALS, "expired")


@pytest.mark.anyio
async def test_a_revoked_key_is_told_so(server, http):
    key = await server.create_key()
    await server.revoke_key(key)

    answer = await http.post("/auth/api-key", json={"apiKey": key})

    assert (answer.status_code, answer.json()["title"], answer.json()["reason"]) == (400, CREDENTIALS, "revoked")
