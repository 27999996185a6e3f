"""Sign-ins of the console and their one-time links, on both databases."""

from tests.contract.conftest import NOW

from hourpass.core.sign_in import OneTimeLink, SignIn

ADA = SignIn(b"a" * 32, "cli:ada@auth-1", None, None, NOW, NOW)
BOB = SignIn(b"b" * 32, "key:3fK9mZ8qLx2P", "3fK9mZ8qLx2P", b"p" * 32, NOW + 5, NOW + 6, "2001:db8::7")
LINK = OneTimeLink(b"c" * 32, "cli:ada@auth-1", NOW)


def test_a_link_is_taken_once(store):
    store.add_one_time_link(LINK)

    assert store.take_one_time_link(bytes(32)) is None
    assert store.take_one_time_link(LINK.id_hash) == LINK
    assert store.take_one_time_link(LINK.id_hash) is None


def test_a_sign_in_comes_back_as_it_was_kept(store):
    for one in (ADA, BOB):
        store.add_sign_in(one)

    assert (store.sign_in(ADA.id_hash), store.sign_in(BOB.id_hash)) == (ADA, BOB)
    assert store.sign_in(bytes(32)) is None


def test_the_use_of_a_sign_in_is_noted(store):
    store.add_sign_in(ADA)
    store.note_seen(ADA.id_hash, NOW + 9)

    assert store.sign_in(ADA.id_hash) == ADA._replace(seen_at=NOW + 9)


def test_one_sign_in_ends_and_the_others_of_the_person_go_on(store):
    other = ADA._replace(id_hash=b"d" * 32, started_at=NOW + 1)
    for one in (ADA, other, BOB):
        store.add_sign_in(one)

    assert store.sign_ins() == [BOB, other, ADA]
    store.end_sign_in(ADA.id_hash)

    assert store.sign_ins() == [BOB, other]


def test_all_sign_ins_of_one_person_end_and_those_of_others_go_on(store):
    for one in (ADA, ADA._replace(id_hash=b"d" * 32), BOB):
        store.add_sign_in(one)

    assert store.end_sign_ins_of(ADA.who) == 2
    assert store.sign_in(ADA.id_hash) is None
    assert store.sign_in(BOB.id_hash) == BOB


def test_what_is_over_is_forgotten(store):
    idle = ADA._replace(id_hash=b"1" * 32, started_at=NOW + 100, seen_at=NOW + 50)
    fresh = ADA._replace(id_hash=b"2" * 32, started_at=NOW + 100, seen_at=NOW + 100)
    for one in (ADA, idle, fresh):
        store.add_sign_in(one)
    store.add_one_time_link(LINK)
    store.prune_sign_ins(started=NOW, seen=NOW + 50, made=NOW)

    assert store.sign_ins() == [fresh]
    assert store.take_one_time_link(LINK.id_hash) is None
