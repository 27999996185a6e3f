"""Importing into each kind of database: the digest is the identity, and the same rows again change nothing."""

import hashlib
import os

import pytest
from tests.contract.conftest import NOW

from hourpass.core.actor import Actor
from hourpass.core.key_hash import KeyHash, KeyHashes, slow_digest
from hourpass.core.policy import DAY, Policy
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.keys.import_rows import read_row
from hourpass.server.keys.importing import KEYS_OF_A_LOOKUP, Imported, import_keys
from hourpass.server.keys.key_hashes import hashes_in_use
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import label_of
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store.sealed import StoredSecret

PEPPER = bytes(range(32))
MASTER = MasterKey(bytes(32))
SECRETS = Secrets(
    MASTER,
    [
        StoredSecret(name, "1", MASTER.seal(label_of(name, "1"), PEPPER if name == "pepper" else bytes(32)), NOW)
        for name in ("pepper", "rotation", "refresh")
    ],
    NOW,
    Policy(),
)
KEY = "sk_live_Zk3vQ8mW1xT6bY9cR4nL"
OTHER = "sk_live_pL2sD7fG5hJ9kM3nB8vC"
BCRYPT = "$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"


def plain(key: str = KEY, **columns: object) -> dict[str, object]:
    return {"key": key, "name": "customer 1", **columns}


def sha256(key: str = KEY, **columns: object) -> dict[str, object]:
    return {"hash": hashlib.sha256(key.encode()).hexdigest(), "algorithm": "sha256", "name": "customer 1", **columns}


def bcrypt(lookup: str = "sk_live_Zk3v", hashed: str = BCRYPT, **columns: object) -> dict[str, object]:
    return {"hash": hashed, "algorithm": "bcrypt", "lookup": lookup, "name": "customer 1", **columns}


@pytest.fixture
def load(store):
    """Import rows, each given as its columns."""

    def load(*rows: dict[str, object], by: KeyHash | None = None, **options) -> list[Imported]:
        read = [read_row(row, hmac_hash=by) for row in rows]
        return import_keys(store, SECRETS, read, NOW, random=os.urandom, actor=Actor("test"), **options)

    return load


def results(imported: list[Imported]) -> list[str]:
    return [each.result for each in imported]


def trail(store) -> list[str]:
    return [record.event for record in store.audit_after(0, 100)]


def all_keys(store) -> list:
    return store.keys_page("", 100)


def test_a_row_becomes_a_key_that_is_found_by_its_digest(store, load):
    [made] = load(plain(subject="account-7", scope="b a", claims={"tenant": "acme"}, external_id="42"))

    key = store.key(made.key_id)
    assert made.result == "created"
    assert (key.name, key.subject, key.scope, key.environment) == ("customer 1", "account-7", "a b", "production")
    assert (key.claims, key.external_id, key.created_at) == ((("tenant", "acme"),), "42", NOW)
    assert store.key_of_digest(key.secrets[0].digest) == made.key_id
    assert store.keys_of_external_ids(["42"]) == {"42": made.key_id}
    assert [each.name for each in hashes_in_use(store, SECRETS.master).fast] == ["plain"]
    assert trail(store) == ["key.imported"]


def test_the_subject_is_the_key_id_if_the_file_has_none(store, load):
    made = load(plain(), plain(OTHER, subject=""))

    assert [store.key(each.key_id).subject for each in made] == [each.key_id for each in made]


def test_the_same_rows_again_change_nothing(store, load):
    rows = [plain(subject="a", tags={"b": "c"}, allowed_ips="10.0.0.0/8"), sha256(OTHER, external_id="9")]
    first, version = load(*rows), store.control().version

    again = load(*rows)

    assert results(again) == ["unchanged", "unchanged"]
    assert [each.key_id for each in again] == [each.key_id for each in first]
    assert store.control().version == version
    assert trail(store) == ["key.imported"] * 2


def test_the_file_wins_for_the_columns_that_it_has(store, load):
    [made] = load(plain(scope="a", subject="account-7", external_id="42"))

    [again] = load(plain(scope="b", name="new"))

    key = store.key(made.key_id)
    assert again == Imported("updated", made.key_id)
    assert (key.scope, key.name, key.subject, key.external_id) == ("b", "new", "account-7", "42")
    [*_, record] = store.audit_after(0, 100)
    assert record.event == "key.updated"
    assert record.detail["old"] == {"name": "customer 1", "scope": "a"}
    assert record.detail["new"] == {"name": "new", "scope": "b"}


def test_many_changes_are_one_new_version(store, load):
    made = load(*(plain(f"{KEY}{n:04}") for n in range(100)))
    before = store.control().version

    again = load(*(plain(f"{KEY}{n:04}", scope="a") for n in range(100)))

    assert set(results(again)) == {"updated"}
    assert {store.key(each.key_id).scope for each in made} == {"a"}
    assert store.control().version == before + 1


def test_an_import_leaves_alone_what_became_of_a_key_here(store, load):
    [made] = load(plain(scope="a"))
    store.update_key(store.key(made.key_id)._replace(disabled_at=NOW, raw_until=NOW + 1, raw_until_set_at=NOW))

    load(plain(scope="b"))

    key = store.key(made.key_id)
    assert (key.scope, key.disabled_at, key.raw_until) == ("b", NOW, NOW + 1)


def test_a_revoked_key_stays_revoked(store, load):
    [made] = load(plain(scope="a"))
    revoke_key(store, made.key_id, NOW, Policy(), Actor("test"))

    assert load(plain(scope="b")) == [Imported("unchanged", made.key_id)]

    key = store.key(made.key_id)
    assert (key.revoked_at, key.scope) == (NOW, "a")


def test_a_known_external_id_with_an_unknown_key_is_refused(store, load):
    [made] = load(plain(external_id="42"))

    [refused] = load(plain(OTHER, external_id="42"))

    assert refused == Imported("failed", reason=f"external_id belongs to key {made.key_id}; rotate it")
    assert len(all_keys(store)) == 1


def test_an_external_id_of_another_record_is_refused(load):
    first, second = load(plain(external_id="1"), plain(OTHER, external_id="2"))

    [refused] = load(plain(external_id="2"))

    assert refused.reason == f"external_id belongs to key {second.key_id}"
    assert first.result == "created"


def test_one_key_for_two_external_ids_is_refused(load):
    made, refused = load(plain(external_id="1"), plain(external_id="2"))
    [later] = load(plain(external_id="2"))

    assert refused.reason == "the same key as another row, which has another external_id"
    assert later.reason == f"the same key as {made.key_id}, which has another external_id"


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_row_never_names_a_key_that_is_not_kept_yet(store, load, dry_run):
    made, again, other = load(
        plain(external_id="1"), plain(external_id="1", scope="b"), plain(OTHER, external_id="1"), dry_run=dry_run
    )

    assert other == Imported("failed", reason="external_id is that of another key in these rows")
    assert {made.key_id, again.key_id} == ({None} if dry_run else {key.key_id for key in all_keys(store)})


def test_a_key_may_get_an_external_id_later(store, load):
    [made] = load(plain())

    assert results(load(plain(external_id="1"))) == ["updated"]
    assert store.keys_of_external_ids(["1"]) == {"1": made.key_id}


def test_rows_of_one_transaction_know_each_other(store, load):
    made = load(plain(), plain(), plain(scope="a"), plain(OTHER, external_id="1"), plain(KEY + "x", external_id="1"))

    assert results(made) == ["created", "unchanged", "updated", "created", "failed"]
    assert store.key(made[0].key_id).scope == "a"


def test_a_key_in_plain_after_its_hash_is_the_same_record(load):
    [hashed] = load(sha256())

    assert load(plain()) == [Imported("unchanged", hashed.key_id)]


def test_a_hash_after_the_key_in_plain_is_a_record_of_its_own(load):
    [first] = load(plain())
    [second] = load(sha256())

    assert (second.result, second.key_id == first.key_id) == ("created", False)


def test_the_secret_of_hmac_hashes_is_kept_sealed(store, load):
    by = SECRETS.hmac_hash(KeyHashes(), b"the provider's secret")
    row = {"hash": by.of(KEY).hex(), "algorithm": "hmac-sha256", "name": "customer 1"}

    assert results(load(row, by=by) + load(row, by=by)) == ["created", "unchanged"]

    [stored] = store.sealed_secrets("import_hmac")
    assert stored.kid == by.kid
    assert b"the provider's secret" not in stored.sealed
    assert hashes_in_use(store, SECRETS.master).fast == (by,)
    assert results(load(plain())) == ["unchanged"]


def test_a_hash_of_a_newer_program_is_passed_over(store, load):
    """During an upgrade, node by node, a newer program may import by what this one does not know."""
    [made] = load(plain())
    store.add_key_hash("sha3-256", NOW)

    assert [each.name for each in hashes_in_use(store, SECRETS.master).fast] == ["plain"]
    assert load(plain()) == [Imported("unchanged", made.key_id)]


def test_a_slow_hash_is_kept_until_the_key_is_used(store, load):
    [made] = load(bcrypt())

    [slow] = store.slow_hashes("sk_live_Zk3v")
    assert (slow.key_id, slow.algorithm, slow.hash, slow.created_at) == (made.key_id, "bcrypt", BCRYPT, NOW)
    assert hashes_in_use(store, SECRETS.master).lookups == (12,)
    assert load(bcrypt(scope="a")) == [Imported("updated", made.key_id)]


def test_a_slow_hash_is_known_after_the_key_was_used(store, load):
    [made] = load(bcrypt())
    [slow] = store.slow_hashes("sk_live_Zk3v")
    standing = slow_digest(PEPPER, BCRYPT)
    store.delete_key_secret(standing)
    store.use_slow_hash(slow._replace(algorithm="used", hash=standing.hex()))

    assert load(bcrypt(scope="a")) == [Imported("updated", made.key_id)]
    assert load(bcrypt(scope="a")) == [Imported("unchanged", made.key_id)]


def test_only_a_few_keys_may_begin_alike(load):
    rows = [bcrypt(hashed=BCRYPT[:-1] + letter) for letter in "abcdef"]

    made = load(*rows[:2]) + load(*rows[2:])

    assert results(made) == ["created"] * KEYS_OF_A_LOOKUP + ["failed"] * 2
    assert made[-1].reason == "lookup: 4 keys begin like this already; use more of the key"


def test_a_dry_run_says_the_same_and_keeps_nothing(store, load):
    assert results(load(plain(), sha256(OTHER), bcrypt(), dry_run=True)) == ["created"] * 3

    assert (all_keys(store), store.key_hashes(), trail(store), store.control().version) == ([], [], [], 0)


def test_many_rows_are_many_keys_and_one_new_version(store, load):
    made = load(*(plain(f"{KEY}{n:04}", external_id=str(n)) for n in range(1_000)))

    assert set(results(made)) == {"created"}
    assert len({each.key_id for each in made}) == 1_000
    assert store.keys_of_ids([made[7].key_id, "nobody"]) == {made[7].key_id: store.key(made[7].key_id)}
    assert store.keys_of_external_ids(["7", "x"]) == {"7": made[7].key_id}
    assert store.keys_of_digests([bytes(32)]) == {}
    assert store.control().version == 2  # one for the keys, one for the hash


def with_another_pepper() -> Secrets:
    """The same secrets a day later, when a second pepper is in use."""
    names = [("pepper", "1", PEPPER, 0), ("pepper", "2", bytes(range(1, 33)), DAY)]
    names += [("rotation", "1", bytes(32), 0), ("refresh", "1", bytes(32), 0)]
    stored = [StoredSecret(n, k, MASTER.seal(label_of(n, k), secret), NOW + at) for n, k, secret, at in names]
    return Secrets(MASTER, stored, NOW + 2 * DAY, Policy())


def peppers_of(store) -> list[str | None]:
    return [secret.pepper for key in store.keys_page("", 9) for secret in key.secrets]


def import_again(store, *rows, by=None) -> list[str]:
    read = [read_row(row, hmac_hash=by, accept_weak=False) for row in rows]
    done = import_keys(store, with_another_pepper(), read, NOW + 2 * DAY, random=os.urandom, actor=Actor("test"))
    return [each.result for each in done]


@pytest.mark.parametrize("row", [plain(), sha256()], ids=["in plain", "hashed"])
def test_the_same_file_again_moves_its_keys_to_the_pepper_in_use(store, load, row):
    """So a nightly sync does it for keys that nobody uses."""
    load(row)

    assert [import_again(store, row) for _ in range(2)] == [["unchanged"], ["unchanged"]]

    assert peppers_of(store) == ["2"]
    assert [len(key.secrets) for key in store.keys_page("", 9)] == [1]


def test_the_same_provider_secret_is_known_under_another_pepper(store, load):
    by = SECRETS.hmac_hash(KeyHashes(), b"the provider's secret")
    row = {"hash": by.of(KEY).hex(), "algorithm": "hmac-sha256", "name": "customer 1"}
    load(row, by=by)

    again = with_another_pepper().hmac_hash(hashes_in_use(store, MASTER), b"the provider's secret")

    assert again == by
    assert with_another_pepper().hmac_hash(KeyHashes(), b"the provider's secret") != by
    assert import_again(store, row, by=again) == ["unchanged"]
    assert len(store.sealed_secrets("import_hmac")) == 1


def test_a_slow_hash_stands_under_the_pepper_in_use_after_another_import(store, load):
    row = {"hash": BCRYPT, "algorithm": "bcrypt", "lookup": KEY[:12], "name": "customer 1"}
    load(row)
    assert import_again(store, row) == ["unchanged"]
    assert peppers_of(store) == ["2"]

    [waiting] = store.slow_hashes(KEY[:12])
    store.use_slow_hash(waiting._replace(algorithm="used", hash=slow_digest(PEPPER, BCRYPT).hex()))
    for key in store.keys_page("", 9):
        store.delete_key_secret(key.secrets[0].digest)
        store.add_key_secret(key.key_id, key.secrets[0]._replace(digest=bytes(32)))

    assert import_again(store, row) == ["unchanged"]
    [used] = store.slow_hashes(KEY[:12])
    assert used.hash == slow_digest(bytes(range(1, 33)), BCRYPT).hex()
