"""The end of a raw key: announced in every answer before it, and refused from it on, while exchange goes on."""

import pytest
from tests.server.conftest import key_id_of
from tests.server.test_verify import invalid

from hourpass.core.actor import Actor
from hourpass.core.policy import DAY
from hourpass.server.keys.api_keys import last_uses_of
from hourpass.server.keys.editing import update_key

pytestmark = pytest.mark.anyio

SUNSET, DEPRECATION = "hourpass-api-key-sunset", "hourpass-api-key-deprecation"


@pytest.fixture
async def key(server):
    return await server.create_key(scope="a")


async def end_raw_use(server, key, after):
    now, until = server.clock(), None if after is None else server.clock() + after

    def work(store):
        update_key(store, key_id_of(key), {"raw_until": until}, now, actor=Actor("test"))

    await server.app.issuer.ledger.run(work)
    await server.later(0)


async def verify(server, key, query=""):
    return await server.client().get(f"/auth/verify{query}", auth=(key, ""))


async def test_before_its_end_every_answer_to_the_key_announces_it(server, key):
    await end_raw_use(server, key, DAY)
    server.clock.advance(5)

    answer = await verify(server, key)

    assert answer.status_code == 204
    assert answer.headers[SUNSET].endswith(" GMT")
    assert answer.headers[DEPRECATION] == f"@{(server.clock() - 5_000) // 1_000}"


async def test_a_token_of_that_key_announces_nothing(server, key):
    """It is on the way that the announcement asks for."""
    await end_raw_use(server, key, DAY)
    token = (await server.exchange(key)).access_token.decode()

    answer = await server.client().get("/auth/verify", headers={"authorization": f"Bearer {token}"})

    assert (answer.headers[SUNSET], answer.headers[DEPRECATION]) == ("", "")


async def test_its_use_after_its_end_is_an_event_once_an_hour_with_the_address(server, key):
    await end_raw_use(server, key, 60_000)
    assert (await verify(server, key)).status_code == 204
    await server.later(60)
    for pause in (0, 1_800, 1_799.999, 0.001):
        await server.later(pause)
        assert (await verify(server, key)).status_code == 401

    records = await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 100))
    told = [record for record in records if record.event == "key.raw_used_after_end"]
    assert [(each.key_id, each.actor, each.address) for each in told] == [(key_id_of(key), "client", "127.0.0.1")] * 2
    assert told[0].detail == {"raw_until": told[0].at}


async def test_from_its_end_on_the_key_is_refused_and_exchange_goes_on(server, key):
    await end_raw_use(server, key, DAY)
    await server.later(DAY / 1_000 - 0.001)
    assert (await verify(server, key)).status_code == 204

    await server.later(0.001)
    answer = await verify(server, key)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, invalid("exchange_required"))
    assert SUNSET not in answer.headers
    token = (await server.exchange(key)).access_token.decode()
    good = await server.client().get("/auth/verify", headers={"authorization": f"Bearer {token}"})
    assert good.status_code == 204
    form = {"grant_type": "client_credentials"}
    assert (await server.client().post("/oauth/token", data=form, auth=(key_id_of(key), key))).status_code == 200


async def test_it_may_be_taken_back(server, key):
    await end_raw_use(server, key, 0)
    assert (await verify(server, key)).status_code == 401

    await end_raw_use(server, key, None)
    answer = await verify(server, key)

    assert (answer.status_code, answer.headers[SUNSET], answer.headers[DEPRECATION]) == (204, "", "")


async def test_who_may_not_come_at_all_does_not_learn_of_it(server, key):
    """The judgement's order: audience, environment, address and scope come first."""
    await end_raw_use(server, key, 0)

    assert (await verify(server, key, "?scope=b")).status_code == 403
    assert "environment" in (await verify(server, key, "?environment=sandbox")).headers["www-authenticate"]


async def test_a_refused_raw_key_is_still_seen_by_the_operator(server, key):
    """`--raw-since` finds those who have not changed their clients."""
    await end_raw_use(server, key, 0)
    await verify(server, key)
    await server.app.issuer.last_uses.keep()

    assert "raw" in await server.app.issuer.ledger.read(lambda store: last_uses_of(store, key_id_of(key)))
