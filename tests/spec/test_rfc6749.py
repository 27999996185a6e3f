"""RFC 6749, the OAuth 2.0 framework: the token endpoint. Client authentication is in test_rfc6749_clients.py."""

import pytest
from tests.server.conftest import claims_of, key_id_of
from tests.server.test_api_keys import basic

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def token(http, key=None, **form):
    headers = {} if key is None else {"authorization": basic(f"{key_id_of(key)}:{key}")}
    return await http.post("/oauth/token", data=form, headers=headers)


def error(answer):
    return answer.status_code, answer.json()["error"]


@pytest.mark.anyio
async def test_4_4_client_credentials_open_a_grant(server, http):
    """§4.4.2, §4.4.3. A refresh token comes with it: the source's exchange, the same operation, gives one."""
    key = await server.create_key(scope="b a")

    answer = await token(http, key, grant_type="client_credentials")

    assert answer.status_code == 200
    assert list(answer.json()) == ["token_type", "expires_in", "access_token", "refresh_token", "scope"]
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 3600
    assert answer.json()["scope"] == "a b"


@pytest.mark.anyio
async def test_6_a_refresh_token_gets_a_new_pair_of_the_same_grant(server, http):
    """§6. Refreshing needs no client authentication: no client is confidential here without its key."""
    first = (await token(http, await server.create_key(), grant_type="client_credentials")).json()

    answer = await token(http, grant_type="refresh_token", refresh_token=first["refresh_token"])

    assert answer.status_code == 200
    assert claims_of(answer.json()["access_token"])["sid"] == claims_of(first["access_token"])["sid"]
    assert answer.json()["refresh_token"] != first["refresh_token"]


@pytest.mark.anyio
async def test_6_both_refresh_endpoints_are_one_operation_on_one_grant(server, http):
    """A refresh through either is the same. The other one sees a retry."""
    _, old = await server.tokens()

    rotated = await token(http, grant_type="refresh_token", refresh_token=old)
    retried = await http.post("/auth/refresh", json={"refreshToken": old})

    generations = [claims_of(answer.json()["refresh_token"])["gen"] for answer in (rotated, retried)]
    assert generations == [1, 1]


@pytest.mark.anyio
async def test_6_a_refreshed_scope_may_be_narrower_and_the_refresh_token_keeps_its_own(server, http):
    """§6: omitted, it is that of the grant. The new refresh token's scope is identical to the old one's."""
    _, old = await server.tokens(scope="a b")

    narrow = (await token(http, grant_type="refresh_token", refresh_token=old, scope="b")).json()
    full = (await token(http, grant_type="refresh_token", refresh_token=narrow["refresh_token"])).json()

    assert (narrow["scope"], full["scope"]) == ("b", "a b")


@pytest.mark.anyio
async def test_6_a_scope_that_was_not_granted_is_refused_and_rotates_nothing(server, http):
    """§6: it MUST NOT include any scope not originally granted."""
    key = await server.create_key(scope="a b")
    old = (await server.exchange(key, scope="a")).refresh_token.decode()

    refused = await token(http, grant_type="refresh_token", refresh_token=old, scope="a b")
    good = await token(http, grant_type="refresh_token", refresh_token=old)

    assert error(refused) == (400, "invalid_scope")
    assert claims_of(good.json()["refresh_token"])["gen"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("asked", "granted"), [("a", "a"), ("b a", "a b"), ("a a", "a"), (" a ", "a")], ids=lambda text: repr(text)
)
async def test_3_3_a_scope_is_a_set_of_tokens(server, http, asked, granted):
    """§3.3: case-sensitive, in any order, separated by spaces."""
    key = await server.create_key(scope="a b c")

    answer = (await token(http, key, grant_type="client_credentials", scope=asked)).json()

    assert answer["scope"] == claims_of(answer["access_token"])["scope"] == granted


@pytest.mark.anyio
@pytest.mark.parametrize("asked", ["c", "a c", "A", 'a"', "a\\", "a\tb", "é", "a\x00", "x" * 1_025], ids=ascii)
async def test_3_3_an_unknown_unowned_or_broken_scope_is_invalid_scope(server, http, asked):
    """§3.3, §5.2."""
    key = await server.create_key(scope="a b")

    assert error(await token(http, key, grant_type="client_credentials", scope=asked)) == (400, "invalid_scope")


@pytest.mark.anyio
@pytest.mark.parametrize("grant_type", ["client_credentials", "refresh_token"])
async def test_5_1_answers_are_json_and_not_stored(server, http, grant_type):
    """§5.1: Cache-Control: no-store in any answer with tokens."""
    key = await server.create_key()
    refresh_token = (await server.exchange(key)).refresh_token.decode()

    answer = await token(http, key, grant_type=grant_type, refresh_token=refresh_token)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


REFUSED = {
    "no grant_type": ({}, "invalid_request"),
    "an empty grant_type": ({"grant_type": ""}, "invalid_request"),
    "refresh_token missing": ({"grant_type": "refresh_token"}, "invalid_request"),
    "refresh_token empty": ({"grant_type": "refresh_token", "refresh_token": ""}, "invalid_request"),
    "refresh_token bad": ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
    "password": ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
    "authorization_code": ({"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"),
    "another case": ({"grant_type": "Client_Credentials"}, "unsupported_grant_type"),
    "a URN": ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "unsupported_grant_type"),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("form", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_5_2_an_error_is_400_with_a_code_and_not_stored(http, form, code):
    """§5.2."""
    answer = await token(http, **form)

    assert error(answer) == (400, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.anyio
async def test_5_2_a_description_has_printable_ascii_without_quotes_and_repeats_nothing(http):
    """§5.2: %x20-21 / %x23-5B / %x5D-7E."""
    for form in (*[form for form, _ in REFUSED.values()], {"grant_type": 'hunter"2\\é'}):
        description = (await token(http, **form)).json()["error_description"]

        assert all("\x20" <= letter <= "\x7e" and letter not in '"\\' for letter in description)
        assert "hunter" not in description


@pytest.mark.anyio
@pytest.mark.parametrize("reason", ["malformed", "unknown", "replayed", "revoked", "key_disabled", "expired"])
async def test_5_2_invalid_grant_says_why(start, reason):
    """contract.md, "OAuth 2 errors": our `reason` beside it."""
    server = await start(grants_per_key=1, retry_window=0)
    http, key = server.client(), await server.create_key()
    old = (await server.exchange(key)).refresh_token.decode()
    if reason == "malformed":
        old = "x"
    elif reason == "unknown":
        server.clock.advance(1)
        await server.exchange(key)
    elif reason == "replayed":
        await server.refresh(old)
    elif reason == "revoked":
        await http.post("/oauth/revoke", data={"token": old})
    elif reason == "key_disabled":
        await server.revoke_key(key)
    else:
        server.clock.advance(30 * 86_400)

    answer = await token(http, grant_type="refresh_token", refresh_token=old)

    assert error(answer) == (400, "invalid_grant")
    assert answer.json()["reason"] == reason


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "unknown"])
async def test_3_2_a_repeated_parameter_is_refused(http, name):
    """§3.2: parameters MUST NOT be included more than once, not even with the same value."""
    body = f"grant_type=client_credentials&{name}=a&{name}=a"

    assert error(await http.post("/oauth/token", content=body, headers=FORM)) == (400, "invalid_request")


@pytest.mark.anyio
async def test_3_2_a_parameter_without_a_value_is_treated_as_omitted(server, http):
    """§3.2."""
    key = await server.create_key(scope="a b")

    answer = await token(http, key, grant_type="client_credentials", scope="", client_id="", client_secret="")

    assert (answer.status_code, answer.json()["scope"]) == (200, "a b")


@pytest.mark.anyio
async def test_3_2_an_unknown_parameter_is_ignored(server, http):
    """§3.2."""
    key = await server.create_key()

    answer = await token(http, key, grant_type="client_credentials", code="x", redirect_uri="x")

    assert answer.status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_3_2_the_token_endpoint_is_post_alone(http, method):
    """§3.2: the client MUST use POST. Parameters in the query would land in logs."""
    assert (await http.request(method, "/oauth/token?grant_type=client_credentials")).status_code == 405


@pytest.mark.anyio
async def test_2_3_1_credentials_in_the_query_are_not_read(server, http):
    """§2.3.1: the parameters MUST NOT be included in the request URI."""
    url = f"/oauth/token?client_id=x&client_secret={await server.create_key()}"

    assert error(await http.post(url, data={"grant_type": "client_credentials"})) == (401, "invalid_client")


BROKEN_FORMS = {
    "not a form": b"{}",
    "not ASCII": "scope=é".encode(),
    "not UTF-8": b"scope=%FF",
    "a name without a value": b"grant_type",
    "33 parameters": b"&".join(b"p%d=x" % number for number in range(33)),
}


@pytest.mark.anyio
@pytest.mark.parametrize("body", BROKEN_FORMS.values(), ids=BROKEN_FORMS.keys())
async def test_appendix_b_a_form_that_cannot_be_read_is_invalid_request(http, body):
    """Appendix B: UTF-8, then form-urlencoded."""
    assert error(await http.post("/oauth/token", content=body, headers=FORM)) == (400, "invalid_request")
