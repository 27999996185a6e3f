"""The query of `/auth/verify`: what a proxy may ask for. The operator writes it, so a typing error is refused."""

import pytest
from tests.server.test_api_keys import basic
from tests.server.test_verify import verify


@pytest.mark.anyio
@pytest.mark.parametrize(
    "query",
    [
        *("scopes=a", "Scope=a", "SCOPE=a", "scope[]=a", "scope%5B%5D=a", "required_scope=a", "amp;scope=a", "other=z"),
        *("scope", "scope=", "scope=+", "scope=%20%20", "=a", "=", "&", "scope=a&", "scope=a&scope", "scope=a&scope="),
        *("scope=a&scopes=b", "scope=a&other=", "scope =a", "%20scope=a", "scope%00=a", "scope=a%0Db", "scope=a%09b"),
        *("scope=%FF", "scope=%C3%A9", "&".join(["scope=a"] * 33)),
    ],
)
@pytest.mark.parametrize("with_a_token", [True, False])
async def test_a_parameter_that_is_unknown_or_lacks_a_value_lets_nobody_in(server, query, with_a_token):
    """A typing error in a proxy's file must not open the route to every token."""
    key = await server.create_key(scope="a")
    token = (await server.exchange(key)).access_token.decode()

    answer = await verify(server, *([f"Bearer {token}"] if with_a_token else []), query=f"?{query}")
    by_key = await verify(server, basic(f"{key}:"), query=f"?{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert by_key.status_code == 400


@pytest.mark.anyio
async def test_the_refusal_names_the_parameter(server):
    answer = await verify(server, query="?scopes=admin")

    assert (answer.json()["title"], answer.json()["name"]) == ("Invalid attributes.", "scopes")


@pytest.mark.anyio
async def test_a_credential_for_another_audience_is_accepted_where_that_is_asked_for(server):
    """A verifier of its own audience asks about raw keys."""
    key = await server.create_key(audience="https://api.test")
    token = (await server.exchange(key)).access_token.decode()
    for credential in (f"Bearer {token}", basic(f"{key}:")):
        assert (await verify(server, credential)).status_code == 401
        assert (await verify(server, credential, query="?audience=https://api.test")).status_code == 204
        assert (await verify(server, credential, query="?audience=https://other.test")).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["audience=", "audience=a&audience=b", "audience=a%20b", "audience=a%0A"])
async def test_what_is_not_one_audience_lets_nobody_in(server, query):
    assert (await verify(server, query=f"?{query}")).status_code == 400
