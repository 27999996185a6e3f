"""When keys were last used: the latest of all nodes stays, and no process is told."""

from tests.contract.conftest import NOW

from hourpass.core.address import pack_address
from hourpass.core.last_use import LastUse
from hourpass.server.store import transaction
from hourpass.server.store.key_uses import KeyUse

KEYS = ("0aZkey000001", "0aZkey000002", "0aZkey000003")


def use(key_id, kind, at, address="192.0.2.1"):
    return KeyUse(key_id, kind, at, pack_address(address))


def test_each_kind_of_use_is_kept_with_its_address(store):
    store.keep_uses(
        [
            use(KEYS[0], "raw", NOW, "2001:db8::1"),
            use(KEYS[0], "exchanged", NOW + 1),
            use(KEYS[1], "refreshed", NOW + 2, None),
        ]
    )

    assert store.uses_of_keys(KEYS) == {
        KEYS[0]: {"raw": LastUse(NOW, "2001:db8::1"), "exchanged": LastUse(NOW + 1, "192.0.2.1")},
        KEYS[1]: {"refreshed": LastUse(NOW + 2, None)},
    }


def test_only_the_uses_of_the_keys_that_are_asked_for_are_looked_up(store):
    store.keep_uses([use(key_id, "raw", NOW) for key_id in KEYS])

    assert list(store.uses_of_keys([KEYS[1]])) == [KEYS[1]]
    assert sorted(store.uses_of_keys([KEYS[2], "0", KEYS[0]])) == [KEYS[0], KEYS[2]]
    assert store.uses_of_keys(["0"]) == store.uses_of_keys([]) == {}


def test_a_later_use_takes_the_place_of_an_earlier_one_and_never_the_other_way(store):
    """Another node may have seen a later use than the one that is written now."""
    store.keep_uses([use(KEYS[0], "raw", NOW)])
    store.keep_uses([use(KEYS[0], "raw", NOW + 1, "192.0.2.2")])
    store.keep_uses([use(KEYS[0], "raw", NOW, "192.0.2.3")])

    assert store.uses_of_keys([KEYS[0]]) == {KEYS[0]: {"raw": LastUse(NOW + 1, "192.0.2.2")}}


def test_no_use_is_worth_no_statement(store):
    store.keep_uses([])


def test_other_processes_are_not_told(store):
    before = store.control()
    store.keep_uses([use(KEYS[0], "raw", NOW)])

    assert store.control() == before


def test_two_nodes_write_the_same_keys_in_any_order(shared):
    first, second = shared.connect(), shared.connect()
    for number, store in enumerate((first, second, first)):
        with transaction(store):
            store.keep_uses([use(key_id, "raw", NOW + number) for key_id in KEYS[:: 1 - 2 * (number % 2)]])

    with transaction(second):
        assert {uses["raw"].at for uses in second.uses_of_keys(KEYS).values()} == {NOW + 2}
