"""An outage of the database is told when it begins and when it is over, however often clients ask meanwhile."""

import json

from tests.e2e.conftest import exchange, refresh
from tests.postgres.test_workers import until

WORKERS = 2


def about_trouble(server) -> list[str]:
    """The events in the server's log from `listening` on, without those that tell of its own start."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line["event"] for line in lines if line["event"] != "listening"]


def test_an_outage_has_one_line_at_its_beginning_and_one_at_its_end_for_each_worker(nodes, own_database):
    server = nodes.start(workers=WORKERS)
    pair = exchange(server, nodes.create_key()["api_key"]).json()

    own_database.cluster.stop()
    answers = [refresh(server, pair["refresh_token"]).status_code for _ in range(40)]
    until(lambda: about_trouble(server).count("unavailable") == WORKERS)
    own_database.cluster.start()
    until(lambda: about_trouble(server).count("storage recovered") == WORKERS)

    assert answers == [503] * 40
    assert sorted(about_trouble(server)) == ["storage recovered"] * WORKERS + ["unavailable"] * WORKERS
