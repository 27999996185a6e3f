"""Only one of several servers does these: it prunes by a lease, and the first one makes the secrets."""

import threading

import pytest
from tests.postgres.conftest import MASTER_KEY, NOW

from hourpass.core.grant import GrantRef
from hourpass.server.run.background import PRUNE_LEASE
from hourpass.server.run.open import open_secrets
from hourpass.server.settings.settings import Settings
from hourpass.server.store import transaction


def take(store, holder, now, until) -> bool:
    with transaction(store):
        return store.take_lease("prune", holder, now, until)


def test_a_lease_is_its_holders_until_it_ends(database):
    ours, theirs = database.connect(), database.connect()

    assert take(ours, "a", NOW, NOW + 10) is True
    assert take(theirs, "b", NOW + 9, NOW + 19) is False
    assert take(ours, "a", NOW + 9, NOW + 20) is True
    assert take(theirs, "b", NOW + 19, NOW + 29) is False
    assert take(theirs, "b", NOW + 20, NOW + 30) is True
    assert take(ours, "a", NOW + 20, NOW + 30) is False


def test_of_many_processes_that_ask_for_a_lease_at_once_one_gets_it(database):
    stores = [database.connect() for _ in range(6)]
    got: list[bool] = []
    threads = [
        threading.Thread(target=lambda s, h: got.append(take(s, h, NOW, NOW + 10)), args=[store, str(holder)])
        for holder, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [False] * 5 + [True]


@pytest.fixture
async def nodes(local_nodes):
    return await local_nodes("a"), await local_nodes("b"), local_nodes.clock


@pytest.mark.anyio
async def test_of_two_servers_one_prunes_and_the_other_takes_over_when_it_is_gone(database, nodes):
    first, second, clock = nodes
    await first.running.background.prune()
    database.run(
        "insert into grants (key_id, grant_id, generation, seed, superseded, created_at, idle_expires_at, expires_at) "
        "select 'k', int8send(n), 0, '', '', 0, 1, 1 from generate_series(1, 1200) n"
    )

    await second.running.background.prune()
    assert (first.pruned, second.pruned) == (0, 0)
    clock.advance(PRUNE_LEASE / 1000)
    await second.running.background.prune()
    await first.running.background.prune()

    assert (first.pruned, second.pruned) == (0, 1200)
    assert database.run("select count(*) from grants") == [(0,)]


@pytest.mark.anyio
async def test_two_servers_have_one_pepper_one_refresh_secret_and_one_signing_key(database, nodes):
    first, second, clock = nodes

    assert rings(first.app.issuer.secrets) == rings(second.app.issuer.secrets)
    assert first.app.issuer.verification.jwks(clock()) == second.app.issuer.verification.jwks(clock())
    assert database.run("select count(*) from signing_keys") == [(1,)]


def rings(secrets) -> list:
    """All secrets, without the master key, which is each server's own."""
    return [secrets.ring(kind) for kind in ("pepper", "refresh", "rotation", "trail")]


def test_first_starts_at_once_make_one_set_of_secrets(database, tmp_path):
    settings = Settings(data=str(tmp_path), database_url=database.url, master_key=MASTER_KEY)
    stores = [database.open() for _ in range(4)]
    made: list = []
    threads = [
        threading.Thread(
            target=lambda s: made.append(open_secrets(s, settings, {}, NOW, serving=True)[1]), args=[store]
        )
        for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 4
    assert all(rings(secrets) == rings(made[0]) for secrets in made)
    assert sorted(database.run("select name from secrets")) == [("pepper",), ("refresh",), ("rotation",), ("trail",)]
    assert database.run("select count(*) from signing_keys") == [(1,)]


@pytest.mark.anyio
async def test_pruning_does_not_hold_up_a_refresh(database, nodes):
    """A page at a time: while one transaction of pruning is open, batches go on beside it."""
    first, _, _ = nodes
    pruning = database.connect()
    pruning.begin(wait=True)
    pruning.expiries_page(GrantRef("", b""), 500)

    key = await first.app.issuer.ledger.read(lambda store: store.keys_page("", 1))
    assert key == []
    assert (await first.app.issuer.ledger.observe()).version > 0
    pruning.rollback()
