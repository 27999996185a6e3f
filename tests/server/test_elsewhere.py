"""A retry from another address than the rotation's: a thief who times himself to the owner's schedule shows here."""

import pytest

OWNER, THIEF = "192.0.2.1", "198.51.100.1"


async def refresh(server, token, address):
    answer = await server.client(address).post("/auth/refresh", json={"refreshToken": token})
    return answer.status_code, answer.json().get("refresh_token")


async def told(server):
    """The events of the audit trail that tell of one."""
    records = await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 1_000))
    return [record for record in records if record.event == "refresh.retried_elsewhere"]


@pytest.mark.anyio
async def test_a_thief_who_refreshes_right_after_the_owner_is_seen(server):
    """Within the window both get the same successor, for ever: neither is a replay."""
    _, token = await server.tokens()
    for _ in range(6):
        stolen = token
        _, token = await refresh(server, token, OWNER)
        server.clock.advance(2)
        assert await refresh(server, stolen, THIEF) == (200, token)
        server.clock.advance(3_598)

    records = await told(server)
    assert len(records) == 6
    assert server.app.issuer.counts["retry_from_elsewhere"] == 6
    assert (records[0].detail["rotated_from"], records[0].address) == (OWNER, THIEF)
    assert (records[0].detail["presented_generation"], records[0].detail["current_generation"]) == (0, 1)


@pytest.mark.anyio
async def test_an_owner_who_comes_second_is_told_of_as_well(server):
    _, token = await server.tokens()
    await refresh(server, token, THIEF)

    assert (await refresh(server, token, OWNER))[0] == 200
    assert [record.detail["rotated_from"] for record in await told(server)] == [THIEF]


@pytest.mark.anyio
async def test_a_retry_from_the_same_address_is_the_network_and_says_nothing(server):
    _, token = await server.tokens()
    for _ in range(3):
        await refresh(server, token, OWNER)

    assert await told(server) == []
    assert server.app.issuer.counts["retry_from_elsewhere"] == 0


@pytest.mark.anyio
async def test_many_retries_are_one_line_an_hour_for_a_grant(server):
    _, token = await server.tokens()
    await refresh(server, token, OWNER)
    for _ in range(20):
        server.clock.advance(1)
        await refresh(server, token, THIEF)

    assert len(await told(server)) == 1
    assert server.app.issuer.counts["retry_from_elsewhere"] == 20
