"""A database that takes no more writes under open connections: not ready, and each connection is made again."""

import time

import httpx2
from tests.e2e.conftest import PLAIN, generation, refresh
from tests.postgres.test_nodes import exchange


def ready(node) -> tuple[int, str]:
    answer = httpx2.get(f"{node.url}/health/ready", **PLAIN)
    return answer.status_code, answer.json()["checks"]["database"]


def wait_until_ready(node) -> None:
    deadline = time.monotonic() + 15
    while ready(node) != (200, "ok"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def read_only(database, setting: str) -> None:
    """For the sessions that are open and for new ones."""
    database.cluster.run(f"alter system set default_transaction_read_only = {setting}")
    database.cluster.run("select pg_reload_conf()")


def connections(database) -> set[int]:
    rows = database.cluster.run("select pid from pg_stat_activity where application_name like 'hourpass%'")
    return {pid for (pid,) in rows}


def test_a_read_only_database_is_not_ready_and_comes_back_by_itself(nodes, own_database):
    node = nodes.start()
    pair = exchange(node, nodes.create_key()["api_key"])
    before = connections(own_database)
    read_only(own_database, "on")

    refused = refresh(node, pair["refresh_token"])
    meanwhile = ready(node)
    read_only(own_database, "off")
    wait_until_ready(node)

    assert refused.status_code == 503
    assert meanwhile == (503, "unavailable")
    assert connections(own_database) - before  # made again
    assert generation(refresh(node, pair["refresh_token"]).json()["refresh_token"]) == 1
