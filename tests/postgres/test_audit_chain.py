"""The chain over the audit trail on a database that several nodes write to: one of them chains, and nobody waits."""

import json
import threading
import time

import pytest
from tests.contract.conftest import make_grant, rotated
from tests.contract.trail import Trail
from tests.postgres.conftest import NOW, Nodes

from hourpass.core.actor import Actor
from hourpass.core.audit_chain import ChainBroken
from hourpass.core.grant_events import GrantsClosed
from hourpass.server.issuing.audit_chaining import AuditChaining
from hourpass.server.keys.audit_chain import TOGETHER, chain_rows
from hourpass.server.run.background import CHAIN_LEASE
from hourpass.server.store import transaction

ACTOR = Actor("server")


@pytest.fixture
async def pair(local_nodes):
    return await local_nodes("a"), await local_nodes("b")


def write(store, count: int = 1) -> None:
    with transaction(store):
        store.append_audit(NOW, [GrantsClosed("k", n, ACTOR) for n in range(count)])


def unchained(database) -> int:
    return database.run("select count(*) from audit where mac is null")[0][0]


def set_head(database, n: int) -> None:
    database.run("update audit_chain set head_n = %s", n)


@pytest.mark.anyio
async def test_one_node_chains_and_another_one_goes_on_when_it_is_gone(database, pair, local_nodes):
    first, second = pair
    store = database.open()
    write(store)
    await first.running.background.chain()
    write(store)

    await second.running.background.chain()
    assert unchained(database) == 1
    await first.running.background.chain()
    assert unchained(database) == 0

    write(store)
    local_nodes.clock.advance(CHAIN_LEASE / 1000)
    await second.running.background.chain()
    assert unchained(database) == 0


@pytest.mark.anyio
async def test_all_that_is_there_is_chained_at_once_and_then_nothing_is_written(database, pair):
    first, _ = pair
    write(database.open(), 3 * TOGETHER)
    await first.running.background.chain()
    assert unchained(database) == 0

    before = database.run("select xmin::text from audit_chain union all select xmin::text from leases")
    await first.running.background.chain()
    assert database.run("select xmin::text from audit_chain union all select xmin::text from leases") == before


@pytest.mark.anyio
async def test_a_node_says_for_how_long_a_row_has_waited(database, pair):
    first, _ = pair
    issuer = first.app.issuer
    passed = [0]
    chaining = AuditChaining(issuer.ledger, issuer.secrets, lambda: passed[0])
    assert not await chaining.look(NOW)

    write(database.open())
    assert await chaining.look(NOW)
    passed[0] = 7_000
    await chaining.look(NOW)
    assert chaining.behind == 7.0

    await chaining.chain(NOW)
    await chaining.look(NOW)
    assert chaining.behind == 0


@pytest.mark.anyio
async def test_a_node_notices_once_that_the_chain_ends_earlier_than_it_did(database, pair):
    first, _ = pair
    issuer = first.app.issuer
    chaining = AuditChaining(issuer.ledger, issuer.secrets, lambda: 0)
    await chaining.look(NOW)
    set_head(database, 0)

    with pytest.raises(ChainBroken, match="ends at line 0 now"):
        await chaining.look(NOW)
    assert await chaining.look(NOW)


def test_exchanges_and_refreshes_do_not_wait_while_a_transaction_chains(database):
    trail = Trail(database)
    trail.write(TOGETHER)
    client = database.open()
    trail.store.begin(wait=True)
    chain_rows(trail.store, trail.secrets, NOW)

    assert client.begin(wait=False)
    client.add_grants([make_grant()])
    client.save_rotations([(0, rotated(make_grant()))])
    client.commit()

    trail.store.commit()
    assert trail.says() == []


@pytest.fixture
def servers(serve, database, tmp_path):
    """Nodes on the shared database server."""
    return Nodes(serve, database, tmp_path / "command")


def test_while_two_write_at_full_speed_and_the_node_that_chains_is_killed_the_chain_stays_whole(servers, database):
    """The other one goes on before a row is late."""
    first = servers.start()
    servers.create_key()
    write(database.open())
    await_chained(database)
    [(holder,)] = database.run("select holder from leases where name = 'chain'")
    servers.start()
    stop, longest = threading.Event(), [0.0]
    writers = [threading.Thread(target=keep_writing, args=(database.open(), stop)) for _ in range(2)]
    for writer in writers:
        writer.start()

    try:
        await_new_head(database, longest)
        first.kill()
        for _ in range(3):
            await_new_head(database, longest)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    await_chained(database)

    assert database.run("select holder from leases where name = 'chain'") != [(holder,)]
    assert longest[0] < 5
    found = json.loads(servers.command("audit", "verify", "--json"))
    assert (found["intact"], found["unchained"]) == (True, 0)
    assert found["lines"] > 100


def keep_writing(store, stop: threading.Event) -> None:
    while not stop.is_set():
        write(store, 3)


def await_chained(database) -> None:
    deadline = time.monotonic() + 10
    while unchained(database):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def await_new_head(database, longest: list[float]) -> None:
    """Wait until what is the newest row now is chained, and note how long that took."""
    began = time.monotonic()
    [(newest,)] = database.run("select last_audit from control")
    while database.run("select head_n < %s from audit_chain", newest) == [(True,)]:
        assert time.monotonic() - began < 20
        time.sleep(0.05)
    longest[0] = max(longest[0], time.monotonic() - began)
