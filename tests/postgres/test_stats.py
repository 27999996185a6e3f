"""Each worker is a node: what they count adds up in the database, and all of it is written down at the drain."""

import signal

import httpx2
import psycopg
from tests.e2e.conftest import PLAIN
from tests.postgres.test_workers import until


def test_what_all_workers_counted_is_in_the_database_after_the_drain(nodes, own_database):
    server = nodes.start(workers=2)
    until(lambda: server.log.read_text().count('"listening"') == 2)
    key = nodes.create_key()["api_key"]
    for _ in range(20):  # each on a connection of its own
        httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key}, **PLAIN).raise_for_status()

    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0

    with psycopg.connect(own_database.url) as db:
        rows = db.execute("select node, sum(exchanges) from stats group by node").fetchall()
    assert sum(exchanges for _, exchanges in rows) == 20
    assert len(rows) == 2
