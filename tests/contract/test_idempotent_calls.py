"""Calls that came with an Idempotency-Key, in every kind of database."""

from tests.contract.conftest import NOW

from hourpass.server.store.idempotent_calls import IdempotentCall

CALL = IdempotentCall(b"\x00digest", b"print", b"seed", NOW + 5)


def answered(call=CALL, **members):
    plain = call._replace(until=NOW + 9, status=201, headers="[]", body='{"ü"}'.encode(), secret_at=3)
    return plain._replace(secret_digest=b"\xff", **members)


def test_a_reservation_is_kept_as_it_is_and_gets_its_answer_once(store):
    store.reserve_call(CALL)
    assert store.idempotent_call(CALL.digest) == CALL
    assert store.idempotent_call(b"other") is None

    assert store.answer_call(answered())
    assert store.idempotent_call(CALL.digest) == answered()
    assert not store.answer_call(answered(status=500))
    assert store.idempotent_call(CALL.digest) == answered()


def test_a_reservation_of_another_seed_takes_the_place_and_the_first_can_neither_answer_nor_release_it(store):
    store.reserve_call(CALL)
    second = CALL._replace(seed=b"another", until=NOW + 50)
    store.reserve_call(second)

    assert not store.answer_call(answered())
    store.release_call(CALL)
    assert store.idempotent_call(CALL.digest) == second
    store.release_call(second)
    assert store.idempotent_call(CALL.digest) is None


def test_an_answer_is_not_released_and_a_new_reservation_takes_its_place(store):
    store.reserve_call(CALL)
    store.answer_call(answered())
    store.release_call(CALL)
    assert store.idempotent_call(CALL.digest) == answered()

    store.reserve_call(CALL)
    assert store.idempotent_call(CALL.digest) == CALL


def test_what_is_over_is_pruned_in_batches_and_nothing_else(store):
    for number in range(5):
        store.reserve_call(CALL._replace(digest=bytes([number]), until=NOW + number))

    assert [store.prune_calls(NOW + 2, 2) for _ in range(3)] == [2, 1, 0]
    assert [number for number in range(5) if store.idempotent_call(bytes([number]))] == [3, 4]
