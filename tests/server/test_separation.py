"""Audiences and environments are separate: a token or a key for one of them reaches no other."""

import pytest
from tests.server.test_api_keys import basic
from tests.server.test_verify import invalid, verify

OTHER = "https://other.test"


async def credentials(server, **key):
    """A key as it is sent itself, and a token that it was exchanged for."""
    api_key = await server.create_key(scope="a", **key)
    return {
        "api-key": basic(f"{api_key}:"),
        "bearer": f"Bearer {(await server.exchange(api_key)).access_token.decode()}",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["api-key", "bearer"])
@pytest.mark.parametrize(
    ("key", "query", "word"),
    [
        ({"environment": "sandbox"}, "", "environment"),
        ({"environment": "sandbox"}, "?environment=production", "environment"),
        ({"environment": "sandbox"}, "?environment=sandbox", None),
        ({"environment": "sandbox"}, "?environment=sandbox&scope=a", None),
        ({}, "?environment=sandbox", "environment"),
        ({}, "?scope=a&environment=production", None),
        ({"audience": OTHER}, "", "audience"),
        ({"audience": OTHER, "environment": "sandbox"}, "?environment=sandbox", "audience"),
        ({"audience": "http://hourpass.test"}, "", None),
    ],
)
async def test_forward_auth_lets_through_credentials_for_its_audience_and_environment(server, kind, key, query, word):
    answer = await verify(server, (await credentials(server, **key))[kind], query=query)

    assert answer.status_code == (204 if word is None else 401)
    assert word is None or answer.headers["www-authenticate"] == invalid(word)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["api-key", "bearer"])
async def test_the_environment_of_one_question_is_not_remembered_for_the_next(server, kind):
    credential = (await credentials(server, environment="sandbox"))[kind]
    queries = ["?environment=sandbox", "", "?environment=sandbox"]

    assert [(await verify(server, credential, query=query)).status_code for query in queries] == [204, 401, 204]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "query",
    [
        *(
            "environment=",
            "environment",
            "environment=Sandbox",
            "environment=staging",
            "environment=sandbox+production",
        ),
        *("environment=sandbox&environment=production", "environment=production&environment=production"),
        *("env=sandbox", "Environment=sandbox", "environment=%20sandbox"),
    ],
)
async def test_an_environment_that_is_not_one_of_the_two_lets_nobody_in(server, query):
    credential = (await credentials(server, environment="sandbox"))["bearer"]

    assert (await verify(server, credential, query=f"?{query}")).status_code == 400
