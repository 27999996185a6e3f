"""PostgreSQL 15 to 18: an installation does all that it is for. The contract of every store runs on 17 and 18.

15 is Debian's and 16 a wheel that not every Python has: if one is missing, its test skips.
"""

import json

import pytest
from tests.contract.conftest import make_grant
from tests.e2e.conftest import exchange, generation, refresh, verify
from tests.postgres.cluster import VERSIONS
from tests.postgres.conftest import Database, Nodes

from hourpass.server.store import transaction
from hourpass.server.store.revocations import NewRevocation


@pytest.fixture(params=VERSIONS)
def on_version(request, clusters):
    """A database on a server of each version."""
    database = Database(clusters.new(request.param, fsync="off"))
    yield database
    database.close()
    database.cluster.stop()


def test_a_node_serves_on_every_version(on_version, serve, tmp_path):
    nodes = Nodes(serve, on_version, tmp_path / "command")
    node = nodes.start(retry_window=0)
    key = nodes.create_key()
    first = exchange(node, key["api_key"]).raise_for_status().json()
    second = refresh(node, first["refresh_token"]).json()
    other = exchange(node, key["api_key"]).json()

    assert generation(second["refresh_token"]) == 1
    assert verify(node, second["access_token"]) == 204
    assert refresh(node, first["refresh_token"]).json()["reason"] == "replayed"
    assert verify(node, second["access_token"]) == 401
    assert verify(node, other["access_token"]) == 204
    nodes.command("keys", "revoke", key["key_id"])
    assert refresh(node, other["refresh_token"]).json()["reason"] == "key_disabled"
    told = {line["event"] for line in json.loads(nodes.command("audit", "--json"))}
    assert {"key.created", "grant.replayed", "key.revoked"} <= told
    nodes.command("backup", str(tmp_path / "backup.db"))
    assert "Citus" not in node.log.read_text()
    assert "not tested" not in node.log.read_text()


def test_held_grants_and_numbers_work_on_every_version(on_version):
    store, other = on_version.connect(), on_version.connect()
    with transaction(store):
        store.add_grants([make_grant(1), make_grant(2)])
    other.begin(wait=False)
    other.take_grants([make_grant(1).ref])

    store.begin(wait=False)
    assert store.take_grants([make_grant(1).ref, make_grant(2).ref]) == (
        {make_grant(2).ref: make_grant(2)},
        {make_grant(1).ref},
    )
    numbered = store.add_revocations([NewRevocation("grant", "one", 9), NewRevocation("grant", "two", 9)])
    assert [entry.n for entry in numbered] == [1, 2]
    store.commit()
    assert store.look().last_revocation == 2
