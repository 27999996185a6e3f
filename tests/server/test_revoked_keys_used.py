"""A key that is used after it was revoked: the trail tells of each caller who has the secret, and of nobody else."""

import pytest
from tests.server.conftest import key_id_of, nobodys_key, other_secret
from tests.server.test_folded_trail import trail

from hourpass.core.actor import Actor
from hourpass.core.policy import HOUR, SECOND
from hourpass.server.keys.api_keys import revoke_key

pytestmark = pytest.mark.anyio


async def revoked(server, why="revoked", **members):
    """A key that ended for a reason."""
    key = await server.create_key(**members)
    policy, now = server.settings.policy(), server.clock()
    await server.app.issuer.ledger.run(
        lambda store: revoke_key(store, key_id_of(key), now, policy, Actor("test"), why=why)
    )
    await server.later(0)
    return key


async def exchange(http, key):
    return await http.post("/auth/api-key", json={"apiKey": key})


async def verify(http, key):
    return await http.get("/auth/verify", auth=(key, ""))


async def as_client(http, key):
    return await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(key_id_of(key), key))


async def told(server):
    return [(each.key_id, each.address, each.detail) for each in await trail(server, "key.revoked_used")]


@pytest.mark.parametrize("use", [exchange, verify, as_client], ids=lambda use: use.__name__)
async def test_each_use_of_a_revoked_key_is_told_with_its_address_once_an_hour(server, use):
    key = await revoked(server, "leaked")

    for pause in (0, HOUR / SECOND - 0.001, 0.001):
        await server.later(pause)
        assert (await use(server.client("192.0.2.7"), key)).status_code in {400, 401}

    assert await told(server) == [(key_id_of(key), "192.0.2.7", {"number": 0, "reason": "leaked"})] * 2


async def test_a_client_that_was_forgotten_does_not_hide_a_thief(server):
    key = await revoked(server)

    for address in ("192.0.2.7", "198.51.100.1", "192.0.2.7", "2001:db8::1", "2001:db8::2"):
        await exchange(server.client(address), key)

    assert [address for _, address, _ in await told(server)] == ["192.0.2.7", "198.51.100.1", "2001:db8::1"]


async def test_callers_from_everywhere_are_sixty_lines_and_a_count(server):
    key = await revoked(server)
    for n in range(63):
        await exchange(server.client(f"192.0.2.{n}"), key)

    assert len(await told(server)) == 60
    await server.later(HOUR / SECOND)
    await server.app._running.background.keep_counts()
    assert [each.detail["times"] for each in await trail(server, "folded")] == [3]


async def test_a_guess_at_a_revoked_key_is_answered_as_one_at_nobodys_and_told_to_nobody(server, http):
    key = await revoked(server)

    guess, nobodys = await exchange(http, other_secret(key)), await exchange(http, nobodys_key())

    assert (guess.status_code, guess.content) == (nobodys.status_code, nobodys.content)
    assert await told(server) == []


async def test_who_reports_a_key_that_has_ended_does_not_use_it(server, http):
    key = await revoked(server)

    assert (await http.post("/oauth/revoke", data={"token": key})).status_code == 200

    assert await told(server) == []


async def test_the_use_of_a_key_that_has_expired_or_is_disabled_is_not_told(server, http):
    """Both can be used again, and their holders are told why not yet."""
    key = await server.create_key(expires_in=1)
    await server.later(1)

    assert (await exchange(http, key)).json()["reason"] == "expired"

    assert await told(server) == []
