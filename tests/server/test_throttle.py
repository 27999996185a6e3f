"""Throttling over HTTP: what is counted, who is held up, and who never is."""

import pytest
from tests.server.conftest import nobodys_key, other_secret
from tests.server.test_api_keys import basic

from hourpass.server.clock.clocks import NodeClock
from hourpass.server.issuing.client_revocations import EXCHANGES_FOR_ONE
from hourpass.testing import Clock


async def exchange(http, key):
    return await http.post("/auth/api-key", json={"apiKey": key})


@pytest.mark.anyio
async def test_an_exchange_too_many_is_429_with_the_seconds_to_wait(start):
    """contract.md, "Errors"."""
    server = await start(exchange_limit=6)
    http, key = server.client(), await server.create_key()

    answers = [await exchange(http, key) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert answers[6].headers["retry-after"] == "10"
    assert answers[6].headers["content-type"] == "application/problem+json"
    assert answers[6].json() == {"type": "about:blank", "title": "Too many requests.", "name": "", "status": 429}


@pytest.mark.anyio
async def test_after_waiting_as_told_the_exchange_is_good(start):
    server = await start(exchange_limit=1)
    http, key = server.client(), await server.create_key()
    await exchange(http, key)
    wait = int((await exchange(http, key)).headers["retry-after"])

    server.clock.advance(wait - 0.001)
    assert (await exchange(http, key)).status_code == 429
    server.clock.advance(0.001)

    assert (await exchange(http, key)).status_code == 200


@pytest.mark.anyio
async def test_both_exchange_endpoints_share_one_limit(start):
    server = await start(exchange_limit=1)
    http, key = server.client(), await server.create_key()
    await exchange(http, key)

    answer = await http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, headers={"authorization": basic(f"{key}:")}
    )

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "60"
    assert answer.json()["title"] == "Too many requests."


@pytest.mark.anyio
async def test_each_key_has_its_own_allowance(start):
    server = await start(exchange_limit=1)
    http = server.client()

    assert (await exchange(http, await server.create_key())).status_code == 200
    assert (await exchange(http, await server.create_key())).status_code == 200


@pytest.mark.anyio
async def test_refreshing_and_verifying_are_not_throttled(start):
    server = await start(exchange_limit=1)
    http, key = server.client(), await server.create_key()
    token = (await exchange(http, key)).json()["refresh_token"]

    for _ in range(3):
        assert (await http.post("/auth/refresh", json={"refreshToken": token})).status_code == 200
        assert (await http.get("/auth/verify", headers={"authorization": basic(f"{key}:")})).status_code == 204


@pytest.mark.anyio
async def test_guesses_are_limited_per_address(start):
    server = await start(exchange_limit=2)
    here, elsewhere = server.client("192.0.2.1"), server.client("192.0.2.2")

    statuses = [(await exchange(here, nobodys_key())).status_code for _ in range(3)]

    assert statuses == [400, 400, 429]
    assert (await exchange(elsewhere, nobodys_key())).status_code == 400


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("one", "another"),
    [("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"), ("192.0.2.1", "::ffff:192.0.2.1")],
    ids=["of one /64", "mapped"],
)
async def test_addresses_that_one_host_may_have_share_their_allowance_for_guesses(start, one, another):
    server = await start(exchange_limit=1)

    assert (await exchange(server.client(one), nobodys_key())).status_code == 400
    assert (await exchange(server.client(another), nobodys_key())).status_code == 429


async def verify(http, key):
    return await http.get("/auth/verify", headers={"authorization": basic(f"{key}:")})


@pytest.mark.anyio
async def test_guesses_at_forward_auth_are_throttled_with_the_others_and_stay_401(start):
    """A proxy passes on 401 and 403 only: nginx makes 500 of a 429."""
    server = await start(exchange_limit=2)
    http = server.client("192.0.2.1")

    assert [(await verify(http, nobodys_key())).status_code for _ in range(4)] == [401] * 4
    assert (await exchange(http, nobodys_key())).status_code == 429
    assert (await exchange(server.client("192.0.2.2"), nobodys_key())).status_code == 400


@pytest.mark.anyio
async def test_guesses_at_forward_auth_never_hold_up_a_good_key_that_was_never_seen(start):
    server = await start(exchange_limit=1)
    http, key = server.client(), await server.create_key()
    for _ in range(3):
        await verify(http, nobodys_key())

    assert (await verify(http, key)).status_code == 204
    assert (await exchange(http, key)).status_code == 200


@pytest.mark.anyio
async def test_guesses_never_hold_up_a_good_key_of_the_same_address(start):
    """contract.md, "Limits"."""
    server = await start(exchange_limit=1)
    http, key = server.client(), await server.create_key()
    assert [(await exchange(http, other_secret(key))).status_code for _ in range(2)] == [400, 429]

    assert (await exchange(http, key)).status_code == 200


@pytest.mark.anyio
async def test_guessing_at_a_key_id_takes_nothing_of_its_limit(start):
    server = await start(exchange_limit=2)
    key = await server.create_key()
    for _ in range(10):
        await exchange(server.client("192.0.2.1"), other_secret(key))

    assert [(await exchange(server.client(), key)).status_code for _ in range(2)] == [200, 200]


@pytest.mark.anyio
async def test_zero_turns_every_throttle_off(start):
    """contract.md, "Limits": failed attempts included."""
    server = await start(exchange_limit=0)
    http, key = server.client(), await server.create_key()

    assert {(await exchange(http, key)).status_code for _ in range(20)} == {200}
    assert {(await exchange(http, nobodys_key())).status_code for _ in range(20)} == {400}


# --- A running server whose machine's clock is set.


class Machine:
    """A server on the two clocks of a machine. It takes the wall clock's time from time to time, as in operation."""

    def __init__(self) -> None:
        self.wall, self.timer = Clock(), Clock(1_000)
        self.clock = NodeClock(self.wall, self.timer)

    async def passes(self, server, seconds: int) -> None:
        """Let time pass, while the event loop runs."""
        for _ in range(seconds):
            self.wall.advance(1)
            self.timer.advance(1)
            server.app.time.stalls.beat()
        await server.app.time.keep(server.app.issuer.ledger)


async def good_key(server, tokens):
    return await exchange(server.client(), server.api_key)


async def guess(server, tokens):
    return await exchange(server.client("192.0.2.1"), nobodys_key())


async def revoke(server, tokens):
    return await server.client().post("/oauth/revoke", data={"token": tokens.pop()})


@pytest.mark.anyio
@pytest.mark.parametrize("hours", [-1, 1, 48])
@pytest.mark.parametrize(
    ("ask", "limit", "good"),
    [(good_key, 1, 200), (guess, 1, 400), (revoke, EXCHANGES_FOR_ONE, 200)],
    ids=["exchange", "guess", "revocation"],
)
async def test_a_clock_that_is_set_neither_opens_a_limit_nor_shuts_it(start, ask, limit, good, hours):
    """One a minute. Limits are measured by the timer, though every decision follows the clock."""
    machine = Machine()
    server = await start(exchange_limit=limit, clock=machine.clock)
    server.api_key = await server.create_key()
    tokens = [(await server.exchange(server.api_key)).refresh_token.decode() for _ in range(3)] if ask is revoke else []
    assert (await ask(server, tokens)).status_code == good
    before = machine.clock()

    machine.wall.advance(hours * 3_600)
    await machine.passes(server, 30)
    refused = await ask(server, tokens)
    await machine.passes(server, 30)
    admitted = await ask(server, tokens)

    assert machine.clock() - before == (hours * 3_600 + 60) * 1_000, "decisions follow the machine's clock"
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert admitted.status_code == good
