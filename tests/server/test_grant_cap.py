"""The cap of live grants per key: a grant that makes room is closed and not revoked (contract.md, "Limits")."""

import pytest


async def exchange(server, key, times=1):
    pairs = []
    for _ in range(times):
        server.clock.advance(1)
        pairs.append((await server.client().post("/auth/api-key", json={"apiKey": key})).json())
    return pairs


async def refresh(server, pair):
    return await server.client().post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})


@pytest.mark.anyio
async def test_at_the_cap_the_oldest_grant_that_never_refreshed_is_closed(start):
    server = await start(grants_per_key=2)
    oldest, middle, newest = await exchange(server, await server.create_key(), times=3)

    closed = await refresh(server, oldest)

    assert (closed.status_code, closed.json()["reason"]) == (400, "unknown")
    assert [(await refresh(server, pair)).status_code for pair in (middle, newest)] == [200, 200]


@pytest.mark.anyio
async def test_up_to_the_cap_nothing_is_closed(start):
    server = await start(grants_per_key=3)
    pairs = await exchange(server, await server.create_key(), times=3)

    assert [(await refresh(server, pair)).status_code for pair in pairs] == [200] * 3


@pytest.mark.anyio
async def test_the_access_tokens_of_a_closed_grant_live_out_their_hour(start):
    """Some official clients exchange on every request and never refresh: closing must not cut them off."""
    server = await start(grants_per_key=1)
    closed, _ = await exchange(server, await server.create_key(), times=2)
    headers = {"authorization": f"Bearer {closed['access_token']}"}
    await server.later(3_600)

    assert (await refresh(server, closed)).json()["reason"] == "unknown"
    assert (await server.client().get("/auth/verify", headers=headers)).status_code == 204


@pytest.mark.anyio
async def test_a_grant_that_refreshed_outlasts_one_that_never_did(start):
    server = await start(grants_per_key=2)
    key = await server.create_key()
    used, unused = await exchange(server, key, times=2)
    used = (await refresh(server, used)).json()

    await exchange(server, key)

    assert [(await refresh(server, pair)).status_code for pair in (used, unused)] == [200, 400]


@pytest.mark.anyio
async def test_among_refreshed_grants_the_least_recently_refreshed_goes_first(start):
    server = await start(grants_per_key=2)
    key = await server.create_key()
    first, second = await exchange(server, key, times=2)
    second = (await refresh(server, second)).json()
    server.clock.advance(1)
    first = (await refresh(server, first)).json()

    newest = await exchange(server, key)

    # The newest one never refreshed: it makes room itself, and its access token is good all the same.
    assert [(await refresh(server, pair)).status_code for pair in (first, second)] == [200, 200]
    assert (await refresh(server, newest[0])).json()["reason"] == "unknown"


@pytest.mark.anyio
async def test_keys_do_not_make_room_for_each_other(start):
    server = await start(grants_per_key=1)
    mine = await exchange(server, await server.create_key())
    await exchange(server, await server.create_key())

    assert (await refresh(server, mine[0])).status_code == 200


@pytest.mark.anyio
async def test_closing_is_counted_and_never_revokes(start):
    server = await start(grants_per_key=1)
    await exchange(server, await server.create_key(), times=3)

    assert server.app.counts["grants_closed"] == 2
    assert server.app.issuer.verification.in_force == 0


@pytest.mark.anyio
async def test_a_revoked_grant_takes_no_room(start):
    server = await start(grants_per_key=2)
    key = await server.create_key()
    kept, revoked = await exchange(server, key, times=2)
    await server.client().post("/oauth/revoke", data={"token": revoked["refresh_token"]})

    await exchange(server, key)

    assert (await refresh(server, kept)).status_code == 200
