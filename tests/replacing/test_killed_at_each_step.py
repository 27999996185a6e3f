"""kill -9 before each write while servers run under load: everything opens, nobody is refused, nothing is lost.

The command is run again after each kill. The clients exchange and refresh all the while, on every node.
"""

import asyncio
import base64
import os
import sys

import pytest
from tests.conftest import clean_environment
from tests.e2e.conftest import exchange
from tests.postgres.cluster import NEWEST, clusters_of
from tests.postgres.conftest import Database, Nodes
from tests.postgres.test_kills import crowd_on, refreshed, require_nothing_lost, until_refreshed
from tests.postgres.test_rolling_upgrade import OneNode

pytestmark = pytest.mark.anyio

COMMANDS = {
    "master key": ["master-key", "rotate", "--yes"],
    "refresh": ["secrets", "rotate", "refresh"],
    "pepper": ["secrets", "rotate", "pepper"],
}
"""The rotation secret is replaced by the same code as the refresh secret."""


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request, serve, tmp_path):
    """Servers, and the variables by which a command finds their database."""
    if request.param == "sqlite":
        nodes = OneNode(serve)
        return nodes, {"HOURPASS_DATA": str(nodes.running[0].data)}
    database = Database(clusters_of(request.config).shared(NEWEST))
    nodes = Nodes(serve, database, tmp_path / "command")
    keys = [base64.b64encode(os.urandom(32)).decode() for _ in range(2)]
    nodes.environment["HOURPASS_MASTER_KEY"] = " ".join(keys)
    nodes.start(), nodes.start()
    return nodes, {
        **nodes.environment,
        "HOURPASS_DATA": str(tmp_path / "command"),
        "HOURPASS_DATABASE_URL": database.url,
    }


async def killed_at_each_step(command: list[str], variables: dict[str, str]) -> int:
    """How many steps the command has. Fails if a kill did harm."""
    arguments = ("-m", "tests.replacing.killed", "config", "check", "--", *command)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=clean_environment(**variables), stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()[-3000:]
    return int(out)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_a_secret_is_replaced_under_load_by_commands_that_are_killed(installation, command):
    nodes, variables = installation
    seldom = [nodes.create_key()["api_key"] for _ in range(2)]
    async with crowd_on(nodes, clients=4, pause=0.05) as crowd:
        await until_refreshed(crowd, 4)

        assert await killed_at_each_step(command, variables) >= 5

        await until_refreshed(crowd, refreshed(crowd) + 20)
        # Keys that nobody has used meanwhile are good at every node.
        for node in nodes.running:
            for api_key in seldom:
                assert (await asyncio.to_thread(exchange, node, api_key)).status_code == 200
    require_nothing_lost(nodes, crowd)
