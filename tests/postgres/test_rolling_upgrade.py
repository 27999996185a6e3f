"""An upgrade node by node and its way back, under load: a newer program adds to the schema, this one lives with it.

The newer program is this one with one more migration.
"""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.postgres.test_kills import crowd_on, refreshed, require_nothing_lost, until_refreshed

import hourpass
from hourpass.server.store.migrations import load_migrations

pytestmark = pytest.mark.anyio

LEVEL = int(load_migrations("sqlite")[-1].name[:4])
NEWER = f"{LEVEL + 1:04}_more"
SQL = f"""-- oldest: {LEVEL:04}
-- What the next version needs.
alter table grants add column more text;
create table more (a integer);
"""

THIS_ONE: dict[str, str] = {}


@pytest.fixture
def newer(tmp_path) -> dict[str, str]:
    """The variables that make a process run the newer program."""
    package = tmp_path / "newer" / "hourpass"
    shutil.copytree(Path(hourpass.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for migrations in (package / "server" / "store" / "sql").glob("*/migrations"):
        (migrations / f"{NEWER}.sql").write_text(SQL)
    return {"PYTHONPATH": str(package.parent)}


class OneNode:
    """One server on its SQLite file, with the words of several."""

    def __init__(self, serve) -> None:
        self.running = [serve(exchange_limit=0)]
        self.create_key = self.running[0].create_key

    def rows(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(self.running[0].data / "hourpass.db")) as db:
            return db.execute(sql).fetchall()

    def generations(self) -> dict[str, int]:
        return dict(self.rows("select lower(hex(grant_id)), generation from grants where revoked_at is null"))


async def replace_each(nodes, steps, crowd) -> None:
    for number, program in steps:
        await asyncio.to_thread(nodes.running[number].replace, program)
        await until_refreshed(crowd, refreshed(crowd) + 40)


async def test_nodes_on_postgresql_are_upgraded_one_by_one_and_back_and_no_client_notices(nodes, newer, own_database):
    nodes.start(), nodes.start()
    async with crowd_on(nodes, clients=8, pause=0.02) as crowd:
        # The second node starts again as it was, after the first one has migrated.
        await replace_each(nodes, [(0, newer), (1, THIS_ONE), (1, newer)], crowd)
        assert (NEWER,) in own_database.run("select name from migrations")
        await replace_each(nodes, [(0, THIS_ONE), (1, THIS_ONE)], crowd)

    require_nothing_lost(nodes, crowd)


async def test_a_node_on_sqlite_is_upgraded_and_taken_back_and_no_client_notices(serve, newer):
    node = OneNode(serve)
    async with crowd_on(node, clients=8, pause=0.02) as crowd:
        await replace_each(node, [(0, newer)], crowd)
        assert (NEWER,) in node.rows("select name from migrations")
        await replace_each(node, [(0, THIS_ONE), (0, newer), (0, THIS_ONE)], crowd)

    require_nothing_lost(node, crowd)
