"""From where a grant was opened and refreshed, and who presented a token that was stolen."""

import pytest
from tests.server.conftest import claims_of

from hourpass.core.address import unpack_address

HERE, ELSEWHERE = "192.0.2.7", "2001:db8::9"


async def exchange(server, http, route: str) -> dict:
    key = await server.create_key()
    if route == "/auth/api-key":
        return (await http.post(route, json={"apiKey": key})).json()
    form = {"grant_type": "client_credentials"}
    return (await http.post(route, data=form, auth=(key.split("_")[2], key))).json()


async def grant_of(server, pair: dict):
    wanted = bytes.fromhex(claims_of(pair["access_token"])["sid"])
    return await server.app.issuer.ledger.read(lambda store: store.find_grant(wanted))


@pytest.mark.anyio
@pytest.mark.parametrize("route", ["/auth/api-key", "/oauth/token"])
@pytest.mark.parametrize("address", [HERE, ELSEWHERE])
async def test_an_exchange_keeps_the_address_of_its_caller_through_every_refresh(server, route, address):
    pair = await exchange(server, server.client(address), route)
    assert unpack_address((await grant_of(server, pair)).opened_from) == address

    await server.client("198.51.100.1").post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})

    grant = await grant_of(server, pair)
    assert unpack_address(grant.opened_from) == address
    assert unpack_address(grant.last_from) == "198.51.100.1"


@pytest.mark.anyio
async def test_behind_a_trusted_proxy_it_is_the_address_that_the_proxy_tells(server):
    http = server.client("127.0.0.1", **{"x-forwarded-for": f"203.0.113.1, {HERE}"})

    pair = await exchange(server, http, "/auth/api-key")

    assert unpack_address((await grant_of(server, pair)).opened_from) == HERE


@pytest.mark.anyio
async def test_a_replay_names_the_address_that_presented_the_old_token(server):
    pair = await exchange(server, server.client(HERE), "/auth/api-key")
    body = {"refreshToken": pair["refresh_token"]}
    await server.client(HERE).post("/auth/refresh", json=body)
    await server.later(61)
    await server.client(ELSEWHERE).post("/auth/refresh", json=body)

    trail = await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 100))

    (event,) = [record for record in trail if record.event == "grant.replayed"]
    assert event.address == ELSEWHERE
