"""One key can add little to the feed and the audit trail by revoking, and nothing by asking twice."""

import asyncio

import pytest

from hourpass.core.revocation import TOKENS_PER_GRANT

pytestmark = pytest.mark.anyio


async def revoke(http, token):
    return await http.post("/oauth/revoke", data={"token": token})


async def written(server):
    """The events of the audit trail about revocations, and the kinds in the feed."""

    def look(store):
        trail = [record.event for record in store.audit_after(0, 10_000)]
        entries = [entry.kind for entry in store.revocations_after(0, server.clock())]
        return [event for event in trail if event.endswith(".revoked")], entries

    return await server.app.issuer.ledger.read(look)


async def refreshed(http, pair):
    return (await http.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})).json()


async def revoke_each_of(server, http, count):
    """Refresh and revoke the access token, so many times, and return the last pair."""
    pair = (await http.post("/auth/api-key", json={"apiKey": await server.create_key()})).json()
    for _ in range(count):
        assert (await revoke(http, pair["access_token"])).status_code == 200
        await server.later(61)  # the grant may rotate again
        pair = await refreshed(http, pair)
    return pair


async def test_as_many_tokens_of_a_grant_as_the_limit_end_alone(server, http):
    pair = await revoke_each_of(server, http, TOKENS_PER_GRANT)

    assert "access_token" in await refreshed(http, pair)
    assert await written(server) == (["token.revoked"] * TOKENS_PER_GRANT, ["token"] * TOKENS_PER_GRANT)


async def test_one_token_more_ends_the_grant_instead(server, http):
    pair = await revoke_each_of(server, http, TOKENS_PER_GRANT)

    assert (await revoke(http, pair["access_token"])).status_code == 200

    events, entries = await written(server)
    assert (events[-1], entries[-1]) == ("grant.revoked", "grant")
    assert len(events) == len(entries) == TOKENS_PER_GRANT + 1
    assert (await refreshed(http, pair))["reason"] == "revoked"
    verified = await http.get("/auth/verify", headers={"authorization": f"Bearer {pair['access_token']}"})
    assert verified.status_code == 401


async def test_tokens_that_have_expired_meanwhile_are_not_in_the_number(start):
    server = await start(access_token_lifetime=60 * TOKENS_PER_GRANT)
    http = server.client()

    await revoke_each_of(server, http, 3 * TOKENS_PER_GRANT)

    events, _ = await written(server)
    assert events == ["token.revoked"] * 3 * TOKENS_PER_GRANT


async def test_tokens_of_other_grants_are_not_in_the_number(server, http):
    key = await server.create_key()
    for _ in range(TOKENS_PER_GRANT + 1):
        await revoke(http, (await server.exchange(key)).access_token.decode())

    events, _ = await written(server)
    assert events == ["token.revoked"] * (TOKENS_PER_GRANT + 1)


async def test_a_key_may_revoke_a_tenth_as_often_as_it_may_exchange(start):
    server = await start(exchange_limit=30)
    http, key = server.client(), await server.create_key()
    tokens = [(await server.exchange(key)).refresh_token.decode() for _ in range(4)]

    answers = [await revoke(http, token) for token in tokens]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["retry-after"] == "20"
    assert await written(server) == (["grant.revoked"] * 3, ["grant"] * 3)
    server.clock.advance(20)
    assert (await revoke(http, tokens[3])).status_code == 200


async def test_keys_are_limited_apart(start):
    server = await start(exchange_limit=10)
    http = server.client()

    for _ in range(2):
        _, token = await server.tokens()
        assert (await revoke(http, token)).status_code == 200


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_asking_again_writes_nothing_and_takes_nothing_of_the_limit(start, which):
    server = await start(exchange_limit=20)
    http, key = server.client(), await server.create_key()
    first, second = [getattr(await server.exchange(key), which).decode() for _ in range(2)]

    statuses = {(await revoke(http, first)).status_code for _ in range(20)}

    assert statuses == {200}
    assert [len(written) for written in await written(server)] == [1, 1]
    assert (await revoke(http, second)).status_code == 200


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_asking_many_times_at_once_is_asking_once(start, which):
    server = await start(exchange_limit=10)
    http = server.client()
    token = getattr(await server.exchange(await server.create_key()), which).decode()

    answers = await asyncio.gather(*(revoke(http, token) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {200}
    assert [len(written) for written in await written(server)] == [1, 1]


async def test_zero_turns_this_limit_off_too(start):
    server = await start(exchange_limit=0)
    http, key = server.client(), await server.create_key()

    for _ in range(100):
        assert (await revoke(http, (await server.exchange(key)).refresh_token.decode())).status_code == 200
