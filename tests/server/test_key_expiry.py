"""A key's end bounds its tokens: none of them outlives the key."""

import pytest
from tests.server.conftest import claims_of

from hourpass.core.policy import SECOND


async def exchange(server, key, **asked):
    return (await server.client().post("/auth/api-key", json={"apiKey": key, **asked})).json()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("left", "lifetime"),
    [(3_601_000, 3600), (3_600_000, 3600), (3_599_999, 3599), (600_000, 600), (1_999, 1), (1_000, 1)],
)
async def test_a_token_ends_with_its_key_at_the_latest(server, left, lifetime):
    answer = await exchange(server, await server.create_key(expires_in=left))

    claims = claims_of(answer["access_token"])
    assert answer["expires_in"] == claims["exp"] - claims["iat"] == lifetime
    assert claims["exp"] * SECOND <= server.clock() + left


@pytest.mark.anyio
async def test_a_refreshed_token_ends_with_its_key_too(server):
    first = await exchange(server, await server.create_key(expires_in=4_000 * SECOND))
    server.clock.advance(3_000)

    answer = await server.client().post("/auth/refresh", json={"refreshToken": first["refresh_token"]})

    assert (first["expires_in"], answer.json()["expires_in"]) == (3600, 1000)


@pytest.mark.anyio
@pytest.mark.parametrize(("asked", "lifetime"), [(60, 60), (700, 600)])
async def test_the_shorter_of_request_and_key_is_granted(server, asked, lifetime):
    key = await server.create_key(expires_in=600 * SECOND)

    assert (await exchange(server, key, expiresIn=asked))["expires_in"] == lifetime


@pytest.mark.anyio
async def test_in_a_keys_last_second_a_token_lives_for_one(server):
    """Zero would be useless, and RFC 7519 §4.1.4 has seconds."""
    key = await server.create_key(expires_in=1)

    assert (await exchange(server, key))["expires_in"] == 1


@pytest.mark.anyio
async def test_the_operators_lifetime_applies(start):
    server = await start(access_token_lifetime=900)

    assert (await exchange(server, await server.create_key()))["expires_in"] == 900
