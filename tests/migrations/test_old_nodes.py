"""A newer program has migrated: nodes of this one that run already go on until they are replaced.

Migrations are forward-only and add. A running node does not ask for the additions and need not fill them.
"""

import pytest
from tests.copy.conftest import Postgres, Sqlite
from tests.copy.test_moving import Desk
from tests.postgres.cluster import NEWEST, clusters_of
from tests.postgres.conftest import LocalNode

from hourpass.core.errors import ConfigurationError, InvalidToken
from hourpass.core.grant import GrantRef
from hourpass.server.store.migrations import load_migrations, number
from hourpass.server.store.tables import TABLES
from hourpass.testing import Clock

LEVEL = number(load_migrations("sqlite")[-1].name)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    if request.param == "sqlite":
        database = Sqlite(tmp_path / "database", request.config)
    else:
        database = Postgres(clusters_of(request.config).shared(NEWEST))
    yield database
    database.close()


class Node:
    """A node of this version, and a newer program beside it."""

    def __init__(self, database, folder) -> None:
        self._database = database
        self._folder = folder
        self.clock = Clock()
        self.node = LocalNode(database.url, folder / "node", self.clock)
        self.desk: Desk

    async def start(self) -> None:
        await self.node.app.start()
        self.desk = Desk(self.node, self.clock)

    def newer_program_migrates(self, oldest: int = LEVEL) -> None:
        """A column in every table, a table, and the note that it was done, with the oldest program for it."""
        for table in TABLES:
            self._database.rows(f"alter table {table.name} add column newer integer")
            self._database.rows(f"alter table {table.name} add column newest integer not null default 7")
        self._database.rows("create table newer (a integer)")
        self._database.rows(f"insert into migrations values ('9999_from_the_future', 'checksum', 1, {oldest})")


@pytest.fixture
async def running(database, tmp_path):
    node = Node(database, tmp_path)
    await node.start()
    yield node
    await node.node.app.stop()


async def test_a_running_node_exchanges_refreshes_and_verifies_under_a_newer_schema(running):
    desk = running.desk
    key = await desk.create_key()
    pair = await desk.exchange(key.api_key)
    running.newer_program_migrates()

    pair = await desk.refresh(await desk.refresh(pair))

    assert desk.verify(pair) == desk.verify(await desk.refresh(pair))
    assert desk.verify(await desk.exchange((await desk.create_key()).api_key))


async def test_a_running_node_revokes_prunes_and_looks_up_under_a_newer_schema(running):
    desk = running.desk
    key = await desk.create_key()
    by_grant, by_key = await desk.exchange(key.api_key), await desk.exchange(key.api_key)
    running.newer_program_migrates()

    await desk.revoke(by_grant.refresh_token)
    await desk.revoke_key(key.key.key_id)

    for pair in (by_grant, by_key):
        with pytest.raises(InvalidToken, match="revoked"):
            desk.verify(pair)
    running.clock.advance(100 * 86_400)
    assert await desk.issuer.pruning.prune(GrantRef("", b""), running.clock()) == (None, 0)
    assert running.node.pruned == 2


async def test_a_node_of_this_version_starts_and_serves_on_a_newer_schema_that_it_can_live_with(
    running, database, tmp_path
):
    """A crash during a rolling upgrade, or a way back."""
    key = await running.desk.create_key()
    pair = await running.desk.exchange(key.api_key)
    running.newer_program_migrates(oldest=LEVEL)
    await running.node.app.stop()

    other = Node(database, tmp_path / "other")
    await other.start()

    try:
        assert other.desk.verify(await other.desk.refresh(pair))
        assert other.desk.verify(await other.desk.exchange(key.api_key))
        assert set((await other.node.app.readiness(other.clock())).values()) == {"ok"}
    finally:
        await other.node.app.stop()
        await running.start()


async def test_a_node_of_this_version_does_not_start_on_a_schema_that_needs_a_newer_one(running, database, tmp_path):
    """It runs on what it knew when it started. Only a start may refuse."""
    running.newer_program_migrates(oldest=LEVEL + 1)

    with pytest.raises(ConfigurationError, match="newer than this program"):
        await Node(database, tmp_path / "other").start()


async def test_a_running_node_stays_ready_under_a_newer_schema(running):
    """Else the proxy would take all old nodes out at the moment when the first new one has migrated."""
    running.newer_program_migrates()

    checks = await running.node.app.readiness(running.clock())

    assert set(checks.values()) == {"ok"}
