"""PgBouncer in front of the database: in transaction mode nothing may outlive a transaction, so nothing does."""

import time

import httpx2
import pytest
from tests.conftest import clean_environment, run_command
from tests.e2e.conftest import PLAIN, exchange, generation, refresh, verify
from tests.postgres.conftest import NOW, Nodes
from tests.postgres.pgbouncer import PgBouncer

from hourpass.server.store import transaction
from hourpass.server.store.postgres import PostgresStore

MODES = ["transaction", "session"]

EXPECTED = {
    "lock_timeout": "2s",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
    "synchronous_commit": "on",
}


@pytest.fixture
def pooled(request):
    """Starts poolers in front of a database, which end with the test."""
    started: list[PgBouncer] = []

    def start(database, mode: str, **more: object) -> PgBouncer:
        started.append(PgBouncer(database.cluster.folder, mode, **more))
        return started[-1]

    yield start
    for pooler in started:
        pooler.stop()


@pytest.fixture
def connect(pooled):
    """Stores through poolers, which are closed with the test."""
    stores: list[PostgresStore] = []

    def connect(url: str, **more) -> PostgresStore:
        stores.append(PostgresStore(url, **more))
        return stores[-1]

    yield connect
    for store in stores:
        store.rollback()
        store.close()


def shown(store: PostgresStore) -> dict[str, str]:
    return {name: store._execute(f"show {name}").fetchone()[0] for name in EXPECTED}


@pytest.mark.parametrize("mode", MODES)
def test_two_nodes_and_a_command_serve_through_fewer_connections_than_they_hold(
    serve, own_database, pooled, tmp_path, mode
):
    """Each node holds two. In session mode each of them needs one of the pooler's own, in transaction mode not."""
    pooler = pooled(own_database, mode, size=2 if mode == "transaction" else 6)
    nodes = Nodes(serve, own_database, tmp_path / "command", url=pooler.url(own_database.name))
    first, second = nodes.start(), nodes.start()
    key = nodes.create_key()
    pair = exchange(first, key["api_key"]).raise_for_status().json()

    for number in range(1, 8):
        answer = refresh((first, second)[number % 2], pair["refresh_token"])
        assert answer.status_code == 200
        pair = answer.json()
        assert generation(pair["refresh_token"]) == number
    assert [verify(node, pair["access_token"]) for node in (first, second)] == [204, 204]

    nodes.command("keys", "revoke", key["key_id"])

    began = time.monotonic()
    while [verify(node, pair["access_token"]) for node in (first, second)] != [401, 401]:
        assert time.monotonic() - began < 1
    assert refresh(first, pair["refresh_token"]).json()["reason"] == "key_disabled"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "begin", [lambda s: s.begin(wait=False), lambda s: s.begin(wait=True), PostgresStore.begin_reading]
)
def test_every_transaction_has_its_limits_and_plans(database, pooled, connect, mode, begin):
    pooler = pooled(database, mode)
    database.connect()
    store = connect(pooler.url(database.name))

    begin(store)

    assert shown(store) == EXPECTED


def test_in_transaction_mode_nothing_is_left_behind_for_others(database, pooled, connect):
    """Their only connection to the server is the same one."""
    pooler = pooled(database, "transaction", size=1)
    ours, others = connect(pooler.url(database.name)), pooler.url(database.name)
    ours.migrate(NOW)
    for _ in range(3):
        with transaction(ours):
            ours.add_revocation("token", "jti", NOW + 1)

    with_them = connect(others)
    assert with_them._execute("show lock_timeout").fetchone() == ("0",)
    assert with_them._execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_without_a_pooler_settings_and_statements_are_made_once_for_a_connection(database):
    store = database.connect()
    for _ in range(3):
        with transaction(store):
            store.add_revocation("token", "jti", NOW + 1)

    assert shown(store) == EXPECTED
    assert store._execute("select count(*) > 0 from pg_prepared_statements").fetchone() == (True,)
    assert store._begins_with == ""


def test_normal_durability_holds_through_a_pooler(database, pooled, connect):
    database.connect()
    store = connect(pooled(database, "transaction").url(database.name), durability="normal")

    store.begin(wait=False)

    assert shown(store)["synchronous_commit"] == "off"


def test_statement_mode_is_named_at_the_start(database, pooled, tmp_path):
    """No transaction is possible there."""
    url = pooled(database, "statement").url(database.name)

    result = run_command("serve", "--data", str(tmp_path), "--port", "0", "--database", url, check=False)

    assert result.returncode == 1
    assert "statement pooling mode" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_is_away_behind_a_pooler_is_503_in_time_and_comes_back(serve, own_database, pooled, tmp_path):
    """The pooler lets clients connect and wait."""
    pooler = pooled(own_database, "transaction")
    nodes = Nodes(serve, own_database, tmp_path / "command", url=pooler.url(own_database.name))
    node = nodes.start()
    token = exchange(node, nodes.create_key()["api_key"]).json()["refresh_token"]
    own_database.cluster.stop()

    began = time.monotonic()
    answers = [httpx2.post(f"{node.url}/auth/refresh", json={"refreshToken": token}, **PLAIN) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert time.monotonic() - began < 2 * 14
    own_database.cluster.start()
    while (answer := refresh(node, token)).status_code == 503:
        assert time.monotonic() - began < 60
    assert generation(answer.json()["refresh_token"]) == 1


def test_an_installation_is_copied_through_a_pooler(pooled, database, serve):
    server = serve()
    key = server.create_key()
    url = pooled(database, "transaction").url(database.name)

    server.command("copy", "--to", url)

    listed = run_command("keys", "list", "--data", str(server.data), "--database", url, env=clean_environment()).stdout
    assert key["key_id"] in listed
