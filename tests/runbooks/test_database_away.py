"""docs/runbooks/database-away.md, on a node whose PostgreSQL has stopped."""

import signal

from tests.e2e.conftest import exchange, generation, refresh, verify
from tests.postgres.cluster import binaries


def test_a_database_that_is_away_raises_the_alarm_and_the_node_finds_it_again_by_itself(
    nodes, own_database, prometheus, open_runbook, await_symptom
):
    cluster = own_database.cluster
    node = nodes.start(admin_listen=prometheus.target())
    pair = exchange(node, nodes.create_key()["api_key"]).json()
    prometheus.await_scraped(node.admin)
    cluster.stop(signal.SIGQUIT)
    assert refresh(node, pair["refresh_token"]).status_code == 503
    assert verify(node, pair["access_token"]) == 204
    ask = f"{binaries(cluster.version) / 'pg_isready'} -h {cluster.folder}"
    book = open_runbook(
        "database-away",
        node,
        {"pg_isready -h db.example.com": ask},
        {"systemctl start postgresql": cluster.start},
    )
    book.environment |= {"HOURPASS_DATABASE_URL": own_database.url, **nodes.environment}
    prometheus.wait(lambda: "HourpassDatabaseAway" in prometheus.firing(node.admin), "the alert does not fire", 20)
    await_symptom(book, node)

    said = book.run(fails={"hourpass config check": 1, "pg_isready -h db.example.com": 2})
    book.await_over()
    assert "HourpassDatabaseAway" not in prometheus.firing(node.admin)

    assert "HourpassNotReady" in prometheus.fired(node.admin)
    assert "no response" in said["pg_isready -h db.example.com"]
    assert "connection to server" in said["hourpass config check"]
    assert generation(refresh(node, pair["refresh_token"]).json()["refresh_token"]) == 1
