"""A new master key: everything that is sealed is sealed again, on every store, and nothing can be forgotten."""

import ast
import os
from pathlib import Path

import pytest
from tests.contract.conftest import NOW

import hourpass
from hourpass.core.actor import Actor
from hourpass.core.errors import ConfigurationError, InvalidRequest
from hourpass.core.key_hash import KeyHash
from hourpass.core.policy import Policy
from hourpass.core.signing_key import SigningKey
from hourpass.server.keys.key_hashes import hashes_in_use, note_hash
from hourpass.server.keys.master_key import MasterKey, id_of_key
from hourpass.server.keys.sealed import (
    Resealed,
    Sealing,
    add_secret,
    key_that_seals,
    label_of,
    open_secret,
    require_opens,
    reseal,
    sealings,
)
from hourpass.server.keys.signing_keys import SigningKeys, prepare, rotate_signing_key
from hourpass.server.store.sealed import StoredSigningKey

OLD_KEY, NEW_KEY, STRANGE_KEY = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
OLD, NEW = id_of_key(OLD_KEY), id_of_key(NEW_KEY)
ONLY_OLD, ONLY_NEW, BOTH = MasterKey(OLD_KEY), MasterKey(NEW_KEY), MasterKey(NEW_KEY, OLD_KEY)
BY_HMAC = KeyHash("hmac-sha256", "0123456789ab", b"the provider's")


@pytest.fixture
def filled(store):
    """A store with everything that can be sealed: six values."""
    prepare(store, ONLY_OLD, "Ed25519", NOW, Policy(), os.urandom, serving=True)
    note_hash(store, ONLY_OLD, BY_HMAC, NOW)
    return store


def opened(store, master) -> list:
    secrets = [open_secret(master, stored) for stored in store.sealed_secrets()]
    return [
        *secrets,
        *(pair.private_bytes() for pair in SigningKeys(store.signing_keys(), master, Policy()).pairs.values()),
    ]


def forget_who_sealed(store) -> None:
    """As an older program leaves it."""
    for secret in store.sealed_secrets():
        store.seal_secret(secret, secret._replace(sealed_by=None))
    for key in store.signing_keys():
        store.seal_signing_key(key, key._replace(sealed_by=None))


def test_after_it_the_new_key_alone_opens_everything_and_the_old_one_nothing(filled):
    before = opened(filled, ONLY_OLD)

    assert reseal(filled, BOTH, NOW, actor=Actor("test")) == Resealed(NEW, 6, (OLD,))

    assert opened(filled, ONLY_NEW) == before
    assert hashes_in_use(filled, ONLY_NEW).fast == (BY_HMAC,)
    assert sealings(filled, ONLY_OLD) == [Sealing(OLD, True, 0), Sealing(NEW, False, 6)]
    for stored in filled.sealed_secrets():
        with pytest.raises(ConfigurationError, match=NEW):
            open_secret(ONLY_OLD, stored)


def test_a_value_that_an_older_program_sealed_is_tried_with_each_key(filled):
    forget_who_sealed(filled)
    before = opened(filled, BOTH)
    assert sealings(filled, BOTH) == [Sealing(NEW, True, 0), Sealing(OLD, True, 6)]

    assert reseal(filled, BOTH, NOW, actor=Actor("test")).values == 6

    assert opened(filled, ONLY_NEW) == before


def test_doing_it_again_changes_nothing_and_tells_nothing(filled):
    """So an operator whose command was killed just runs it again."""
    reseal(filled, BOTH, NOW, actor=Actor("test"))
    rows, trail = (filled.sealed_secrets(), filled.signing_keys()), filled.control().last_audit

    assert reseal(filled, BOTH, NOW, actor=Actor("test")) == Resealed(NEW, 0, (OLD,))

    assert (filled.sealed_secrets(), filled.signing_keys()) == rows
    assert filled.control().last_audit == trail


def test_it_is_a_line_of_the_trail_without_any_key(filled):
    reseal(filled, BOTH, NOW, actor=Actor("test"))

    [record] = filled.audit_after(filled.control().last_audit - 1, 9)
    assert record.event == "master_key.rotated"
    assert record.detail == {"master_key": NEW, "before": OLD, "values": 6}
    assert record.actor == "test"


def test_other_processes_learn_of_it(filled):
    before = filled.control().version

    reseal(filled, BOTH, NOW, actor=Actor("test"))

    assert filled.control().version > before


def test_with_one_key_there_is_nothing_to_go_over_to(filled):
    with pytest.raises(InvalidRequest, match=OLD):
        reseal(filled, ONLY_OLD, NOW, actor=Actor("test"))


def test_a_value_of_a_third_key_ends_it(filled):
    """The caller's transaction is undone then: everything is sealed as before."""
    add_secret(filled, ONLY_OLD, "later", "k", b"secret", NOW)
    [later] = [stored for stored in filled.sealed_secrets() if stored.name == "later"]
    strange = MasterKey(STRANGE_KEY)
    filled.seal_secret(later, later._replace(sealed=strange.seal("later k", b"secret"), sealed_by=strange.ids[0]))

    with pytest.raises(ConfigurationError, match=f"needs the key {strange.ids[0]}"):
        reseal(filled, BOTH, NOW, actor=Actor("test"))
    assert sealings(filled, BOTH)[2] == Sealing(strange.ids[0], False, 1)


def test_a_value_that_another_process_sealed_meanwhile_is_left_alone(filled):
    [first, *_] = filled.sealed_secrets()
    meanwhile = first._replace(sealed=NEW_KEY)
    assert filled.seal_secret(first, meanwhile)

    assert not filled.seal_secret(first, first._replace(sealed=OLD_KEY))
    assert meanwhile in filled.sealed_secrets()


def test_until_it_is_done_a_node_with_both_keys_seals_by_the_old_one(filled):
    """Another node may not have the new one yet, and must be able to open what this one makes."""
    assert key_that_seals(filled, BOTH) == OLD
    rotate_signing_key(filled, BOTH, NOW, Policy(), os.urandom, actor=Actor("test"))
    add_secret(filled, BOTH, "later", "k", b"secret", NOW)

    require_opens(filled, ONLY_OLD)


def test_from_then_on_a_node_seals_by_the_new_one_however_its_keys_are_ordered(filled):
    reseal(filled, BOTH, NOW, actor=Actor("test"))
    late = MasterKey(OLD_KEY, NEW_KEY)
    rotate_signing_key(filled, late, NOW, Policy(), os.urandom, actor=Actor("test"))
    add_secret(filled, late, "later", "k", b"secret", NOW)

    require_opens(filled, ONLY_NEW)


def test_the_first_secrets_are_sealed_by_the_first_key(store):
    prepare(store, BOTH, "Ed25519", NOW, Policy(), os.urandom, serving=True)

    require_opens(store, ONLY_NEW)


def test_no_sealed_value_can_take_the_place_of_another(filled):
    labels = [label_of(stored.name, stored.kid) for stored in filled.sealed_secrets()]
    assert len({*labels, label_of("pepper", "2"), label_of("rotation", "2")}) == len(labels) + 2


def test_every_sealed_column_of_the_schema_is_sealed_again(shared):
    """A table that gets something sealed must come into the one list of `sealed.py`, and then into this test."""
    store = shared.connect()
    store.begin(wait=True)
    prepare(store, ONLY_OLD, "Ed25519", NOW, Policy(), os.urandom, serving=True)
    store.commit()
    before = shared.dump()
    assert {name for name, rows in before.items() for row in rows for column in row if "seal" in column} == {
        "secrets",
        "signing_keys",
    }

    store.begin(wait=True)
    reseal(store, BOTH, NOW, actor=Actor("test"))
    store.commit()

    for table in ("secrets", "signing_keys"):
        rows = shared.dump()[table]
        assert {row["sealed_by"] for row in rows} == {NEW}
        assert not {bytes(row["sealed"]) for row in rows} & {bytes(row["sealed"]) for row in before[table]}


def test_one_module_alone_seals_and_opens():
    """So that nothing is sealed beside the list that is sealed again."""
    package = Path(hourpass.__file__).parent
    callers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"seal", "sealer", "encrypt", "decrypt"}
    }
    assert callers == {"server/keys/sealed.py", "server/keys/master_key.py"}


def test_a_signing_key_keeps_its_instants(filled):
    before = [stored.key for stored in filled.signing_keys()]
    reseal(filled, BOTH, NOW, actor=Actor("test"))

    assert [stored.key for stored in filled.signing_keys()] == before
    assert isinstance(filled.signing_keys()[0], StoredSigningKey)
    assert isinstance(before[0], SigningKey)
