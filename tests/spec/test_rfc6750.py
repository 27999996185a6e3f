"""RFC 6750, bearer tokens: how a protected endpoint asks for one and refuses one."""

import re

import pytest

CHALLENGE = re.compile(r'Bearer (?P<parameters>[a-z_]+="[^"\\]*"(, [a-z_]+="[^"\\]*")*)')


def parameters(answer):
    """The challenge's parameters. Each may occur once (§3)."""
    found = CHALLENGE.fullmatch(answer.headers["www-authenticate"])
    assert found is not None
    pairs = re.findall(r'([a-z_]+)="([^"]*)"', found["parameters"])
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


async def verify(http, *authorization, query=""):
    return await http.get(f"/auth/verify{query}", headers=[("authorization", value) for value in authorization])


@pytest.mark.anyio
async def test_2_1_a_token_comes_in_the_authorization_header(server, http):
    """§2.1."""
    token, _ = await server.tokens()

    assert (await verify(http, f"Bearer {token}")).status_code == 204


@pytest.mark.anyio
async def test_2_2_a_token_in_the_body_is_not_looked_at(server, http):
    """§2.2 is optional, and a proxy's subrequest carries no body."""
    token, _ = await server.tokens()

    answer = await http.post("/auth/verify", data={"access_token": token})

    assert (answer.status_code, parameters(answer)) == (401, {"realm": "hourpass"})


@pytest.mark.anyio
async def test_2_3_a_token_in_the_query_is_refused_as_an_unknown_parameter(server, http):
    """§2.3, §5.3: URLs end in logs. RFC 9700 §4.3.2 forbids it."""
    token, _ = await server.tokens()

    assert (await verify(http, query=f"?access_token={token}")).status_code == 400


@pytest.mark.anyio
async def test_3_without_authentication_the_challenge_has_a_realm_and_no_error(http):
    """§3: the error code SHOULD NOT be there."""
    answer = await verify(http)

    assert (answer.status_code, parameters(answer)) == (401, {"realm": "hourpass"})


@pytest.mark.anyio
async def test_3_1_a_bad_token_is_401_invalid_token(http):
    """§3.1."""
    answer = await verify(http, "Bearer x")

    assert answer.status_code == 401
    assert parameters(answer)["error"] == "invalid_token"


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [["Bearer"], ["Bearer x y"], ["Bearer x", "Bearer x"]])
async def test_3_1_a_request_without_exactly_one_token_is_an_invalid_request(http, headers):
    """§3.1. The status is 401 because nginx passes on no other. The middleware's is 400."""
    answer = await verify(http, *headers)

    assert answer.status_code == 401
    assert parameters(answer) == {"realm": "hourpass", "error": "invalid_request"}


@pytest.mark.anyio
async def test_3_1_a_token_that_does_not_reach_is_403_with_the_scope_it_would_take(server, http):
    """§3.1, §3: scope is a list of tokens, in this attribute alone."""
    token, _ = await server.tokens(scope="a")

    answer = await verify(http, f"Bearer {token}", query="?scope=a%20b")

    assert answer.status_code == 403
    assert parameters(answer) == {"realm": "hourpass", "error": "insufficient_scope", "scope": "a b"}


@pytest.mark.anyio
async def test_3_every_description_is_one_of_the_fixed_words(server, http):
    """§3: %x20-21 / %x23-5B / %x5D-7E. Nothing that the caller sent comes back."""
    expired, refresh_token = await server.tokens()
    await server.later(3_605)

    words = [
        parameters(await verify(http, header))["error_description"]
        for header in (f"Bearer {expired}", f"Bearer {refresh_token}", "Bearer hunter2")
    ]

    assert words == ["expired", "signature", "malformed"]


@pytest.mark.anyio
async def test_5_3_a_refusal_is_not_stored(http):
    """§5.3, RFC 9111 §5.2.2.5: a cached 401 would outlive the token that comes next."""
    for answer in (await verify(http), await verify(http, "Bearer x")):
        assert answer.headers["cache-control"] == "no-store"
