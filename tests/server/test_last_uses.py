"""When a key was last used: counted in memory, written in batches, kept through trouble."""

import asyncio
import sqlite3
from base64 import b64encode
from contextlib import closing

import pytest
from tests.server.conftest import key_id_of

from hourpass.core.errors import StorageUnavailable
from hourpass.core.last_use import LastUse
from hourpass.server.issuing.last_uses import UseKeeper
from hourpass.server.keys.api_keys import last_uses_of
from hourpass.testing import InMemoryServer


@pytest.fixture
async def key(server):
    return await server.create_key(scope="introspect")


async def uses(server, key):
    """What the database says, after everything was written."""
    await server.app.issuer.last_uses.keep()
    return await server.app.issuer.ledger.read(lambda store: last_uses_of(store, key_id_of(key)))


@pytest.mark.anyio
async def test_a_key_that_was_never_used_has_no_last_use(server, key):
    assert await uses(server, key) == {}


@pytest.mark.anyio
async def test_each_way_of_use_is_noted_with_its_instant_and_its_address(server, key):
    first = server.clock()
    answer = await server.client("192.0.2.1").post("/auth/api-key", json={"apiKey": key})
    server.clock.advance(1)
    await server.client("192.0.2.2").post("/auth/refresh", json={"refreshToken": answer.json()["refresh_token"]})
    server.clock.advance(1)
    await server.client("2001:db8::3").get("/auth/verify", auth=(key, ""))

    assert await uses(server, key) == {
        "exchanged": LastUse(first, "192.0.2.1"),
        "refreshed": LastUse(first + 1_000, "192.0.2.2"),
        "raw": LastUse(first + 2_000, "2001:db8::3"),
    }


@pytest.mark.anyio
async def test_client_credentials_are_an_exchange(server, key):
    form = {"grant_type": "client_credentials", "client_id": key_id_of(key), "client_secret": key}
    await server.client("192.0.2.1").post("/oauth/token", data=form)

    assert await uses(server, key) == {"exchanged": LastUse(server.clock(), "192.0.2.1")}


@pytest.mark.anyio
async def test_a_token_at_a_protected_endpoint_is_not_a_use_of_its_key(server, key):
    token = (await server.exchange(key)).access_token.decode()
    before = await uses(server, key)
    server.clock.advance(1)
    answer = await server.client().get("/auth/verify", headers={"authorization": f"Bearer {token}"})

    assert answer.status_code == 204
    assert await uses(server, key) == before


@pytest.mark.anyio
async def test_a_wrong_key_is_not_a_use(server, key):
    headers = {"authorization": "Basic " + b64encode(f"{key[:-1]}!:".encode()).decode()}

    assert (await server.client().get("/auth/verify", headers=headers)).status_code == 401
    assert await uses(server, key) == {}


class Flaky:
    """A ledger whose database is out of reach for some transactions."""

    def __init__(self, ledger, *, failures=0):
        self.ledger = ledger
        self.failures = failures
        self.transactions = 0

    async def run(self, work):
        self.transactions += 1
        if self.transactions <= self.failures:
            raise StorageUnavailable("gone")
        return await self.ledger.run(work)


@pytest.mark.anyio
async def test_what_could_not_be_written_is_written_the_next_time_unless_a_later_use_came(server):
    ledger = Flaky(server.app.issuer.ledger, failures=1)
    keeper = UseKeeper(ledger)
    keeper.seen["refreshed"]["k" * 12] = 1, "192.0.2.1"
    keeper.seen["raw"]["k" * 12] = 1, "192.0.2.1"

    writing = asyncio.ensure_future(keeper.keep())
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await writing
    keeper.seen["raw"]["k" * 12] = 2, "192.0.2.2"
    await keeper.keep()

    assert await ledger.ledger.read(lambda store: last_uses_of(store, "k" * 12)) == {
        "refreshed": LastUse(1, "192.0.2.1"),
        "raw": LastUse(2, "192.0.2.2"),
    }


@pytest.mark.anyio
async def test_many_uses_are_written_in_several_transactions(server):
    """A batch holds up refreshes, so it is short."""
    ledger = Flaky(server.app.issuer.ledger)
    keeper = UseKeeper(ledger, together=2)
    for number in range(5):
        keeper.seen["refreshed"][f"key{number:09}"] = number, None
    await keeper.keep()

    kept = await ledger.ledger.read(lambda store: store.uses_of_keys([f"key{number:09}" for number in range(9)]))
    assert ledger.transactions == 3
    assert {key_id: uses["refreshed"].at for key_id, uses in kept.items()} == {f"key{n:09}": n for n in range(5)}


@pytest.mark.anyio
async def test_a_question_about_a_credential_is_not_a_use(server, http, key):
    """A client of the OAuth endpoints that only proves who it is."""
    await http.post("/oauth/revoke", data={"token": "eyJ0.e30.x"}, auth=(key, ""))

    assert await uses(server, key) == {}


@pytest.mark.anyio
async def test_trouble_at_the_end_does_not_hold_up_the_end(tmp_path, caplog):
    async with InMemoryServer(data=str(tmp_path), database_url=None) as server:
        await server.exchange(await server.create_key())
        with closing(sqlite3.connect(tmp_path / "hourpass.db")) as db:
            db.execute("drop table key_uses")

    assert any("background work" in record.message or record.message == "unavailable" for record in caplog.records)
