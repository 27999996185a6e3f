"""How grants lie in the database: a rotation stays on its page, touches no index, and finds its row by the key."""

import os
import re
import time

from tests.postgres.conftest import NOW

from hourpass.core.grant import GrantRef, decide_refresh, new_grant_id, open_grant
from hourpass.core.policy import HOUR, Policy
from hourpass.server.ledger.ledger import BATCH_LIMIT
from hourpass.server.store.statements import load_queries

POLICY = Policy()
GRANTS = 2_048
HOURS = 12


def counted(database, columns: str) -> tuple[int, ...]:
    """The server's counters. Each connection reports when it ends."""
    for store in database.stores:
        store.close()
    while database.run("select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"):
        time.sleep(0.01)
    return database.run(f"select {columns} from pg_stat_user_tables where relname = 'grants'")[0]


def test_every_rotation_of_a_clients_hourly_rhythm_is_in_place(database):
    """Whole pages in one transaction: the clients that exchanged together come back together."""
    store = database.connect()
    made = [
        open_grant(
            grant_id=new_grant_id(NOW + number // 16, os.urandom(7), "0aZkey000001"),
            seed=os.urandom(16),
            key_id="0aZkey000001",
            scope=None,
            now=NOW,
            policy=POLICY,
        )
        for number in range(GRANTS)
    ]
    batches = [made[start : start + BATCH_LIMIT] for start in range(0, GRANTS, BATCH_LIMIT)]
    for batch in batches:
        store.begin(wait=False)
        store.add_grants(batch)
        store.commit()
    index = database.run("select pg_indexes_size('grants')")

    for hour in range(1, HOURS + 1):
        for number, batch in enumerate(batches):
            decided = [decide_refresh(grant, grant.generation, NOW + hour * HOUR, POLICY).grant for grant in batch]
            store.begin(wait=False)
            store.save_rotations([(grant.generation - 1, grant) for grant in decided])
            store.commit()
            batches[number] = decided

    assert counted(database, "n_tup_upd, n_tup_hot_upd") == (GRANTS * HOURS, GRANTS * HOURS)
    assert database.run("select pg_indexes_size('grants')") == index


def test_the_indexes_are_on_columns_that_never_change(database):
    database.connect()

    indexes = database.run("select indexdef from pg_indexes where tablename = 'grants'")

    columns = [sql.partition(" USING ")[2].partition(" WHERE ")[0] for (sql,) in indexes]
    assert sorted(columns) == ["btree (grant_id)", "btree (key_id, grant_id)"]


def test_a_batch_looks_each_row_up_by_its_key_however_little_the_planner_knows(database):
    """Nothing was ever analysed here: a plan made from that would read the whole table, and lock in another order."""
    store = database.connect()
    grants = [
        open_grant(grant_id=bytes([n] * 16), seed=bytes(16), key_id="k", scope=None, now=NOW, policy=POLICY)
        for n in range(200)
    ]
    store.begin(wait=False)
    store.add_grants(grants)
    store.grants([grant.ref for grant in grants])
    store.take_grants([grant.ref for grant in grants])
    store.save_rotations([(0, grant._replace(generation=1)) for grant in grants])
    store.revoke_grants([grant._replace(revoked_at=NOW, revoked_why="revoked") for grant in grants[:10]])
    store.delete_grants([GrantRef("k", grants[0].grant_id)])
    store.commit()

    assert counted(database, "seq_tup_read, idx_scan") == (0, 612)


def test_no_id_of_a_grant_makes_the_server_read_all_grants(database):
    store = database.connect()
    made = [
        open_grant(grant_id=each, seed=bytes(16), key_id="0aZkey000001", scope=None, now=NOW, policy=POLICY)
        for each in (*(new_grant_id(NOW, bytes([n] * 7), "0aZkey000001") for n in range(200)), OF_BEFORE)
    ]
    store.begin(wait=False)
    store.add_grants(made)
    store.commit()
    database.run("analyze grants")

    asked = [made[7].grant_id, OF_BEFORE, bytes(16), new_grant_id(NOW, bytes(7), "another")]
    found = [store.find_grant(each) for each in asked]

    assert found == [made[7], made[-1], None, None]
    assert counted(database, "seq_tup_read") == (0,)


OF_BEFORE = b"\xff" * 16
"""The id of a grant that an older program opened."""

WITHOUT_A_KEY = {
    *("count_live_grants", "find_unnamed_grant", "key_of_external_id", "keys_of_external_ids", "keys_of_ids"),
    *("expiring_keys", "raw_numbers"),
}
"""An operator who has nothing but a grant's id, or counts grants or keys, asks everywhere."""

NAMES_THE_KEY = re.compile(
    r"where (g\.)?key_id = |where \(?([gk]\.)?key_id(, (g\.)?grant_id\))? >=? |"
    r"on g\.key_id = |insert into \w+ \((grant_id, )?key_id,"
)


def test_every_statement_on_grants_and_keys_names_the_key_by_which_they_could_be_spread():
    """A shard would then hold a key with all its grants, and no statement need look at two of them."""
    on_either = {name for name, sql in load_queries("postgres").items() if re.search(r"\b(grants|api_keys)\b", sql)}

    named = {name for name in on_either if NAMES_THE_KEY.search(" ".join(load_queries("postgres")[name].split()))}

    assert {"grants", "add_grants", "rotate_grants", "revoke_grants", "key", "revoke_key", "expiries_page"} <= named
    assert on_either - named == WITHOUT_A_KEY
