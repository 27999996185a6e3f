"""Nothing is replaced while a node runs that would not learn of it: PostgreSQL shows the nodes of earlier versions."""

import os
import time

import pytest
from tests.postgres.conftest import NOW

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidRequest
from hourpass.core.policy import Policy
from hourpass.core.secret_ring import PUBLISH_AHEAD
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.replacing import rotate_secret
from hourpass.server.keys.sealed import reseal
from hourpass.server.keys.signing_keys import prepare
from hourpass.server.store import transaction

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@pytest.mark.parametrize("name", ["hourpass", "hourpass/0008"])
def test_a_node_of_an_earlier_version_is_seen_and_nothing_is_replaced(database, name):
    store = database.connect()
    with transaction(store):
        secrets = prepare(store, MasterKey(OLD), "Ed25519", NOW, Policy(), os.urandom, serving=True)
    older = database.open(application_name=name)

    for replace in (
        lambda: rotate_secret(store, secrets, "refresh", NOW + PUBLISH_AHEAD, os.urandom, actor=Actor("test")),
        lambda: reseal(store, MasterKey(NEW, OLD), NOW, actor=Actor("test")),
    ):
        with pytest.raises(InvalidRequest, match="a node of an older version runs"), transaction(store):
            replace()

    older.close()
    deadline = time.monotonic() + 10
    while database.run("select 1 from pg_stat_activity where application_name = %s", name):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with transaction(store):
        assert reseal(store, MasterKey(NEW, OLD), NOW, actor=Actor("test")).values


@pytest.mark.parametrize("name", ["hourpass/0009", "hourpass/0010", "hourpass-eu", "psql", "another/0001"])
def test_nodes_of_this_version_and_strangers_are_not_in_the_way(database, name):
    store = database.connect()
    database.open(application_name=name)
    database.open()

    with transaction(store):
        assert store.older_programs(9) == 0
