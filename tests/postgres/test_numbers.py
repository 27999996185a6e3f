"""Numbers become visible in their order and without gaps, so a reader that asks for what comes after n misses nothing.

A sequence would hand out 7 and 8 to two transactions at once, and 8 might be committed first.
"""

import threading

import pytest
from tests.contract.conftest import make_key
from tests.postgres.conftest import NOW

from hourpass.core.actor import Actor
from hourpass.core.key_events import KeyRevoked

TAKE = {
    "a revocation": lambda store: store.add_revocation("key", "value", NOW + 1).n,
    "a line of the audit trail": lambda store: store.append_audit(NOW, [KeyRevoked("key", "revoked", Actor("test"))]),
    "a version of the keys": lambda store: store.add_key(make_key(f"{id(store):012}"[:12])),
}


def numbers(store) -> tuple:
    store.begin_reading()
    seen = (store.control(), len(store.revocations_after(0, NOW)), len(store.audit_after(0, 9)))
    store.commit()
    return seen


@pytest.mark.parametrize("take", TAKE.values(), ids=TAKE)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_the_next_number_waits_until_the_one_before_it_is_committed_or_given_back(database, take, end):
    first, second, reader = database.connect(), database.connect(), database.connect()
    empty = numbers(reader)
    first.begin(wait=False)
    take(first)
    second.begin(wait=False)
    later = threading.Thread(target=lambda: (take(second), second.commit()))
    later.start()
    later.join(0.1)

    assert later.is_alive()
    assert numbers(reader) == empty
    getattr(first, end)()
    later.join()
    control, revocations, lines = numbers(reader)
    taken = 2 if end == "commit" else 1
    assert taken in control
    assert (revocations, lines) == (control.last_revocation, control.last_audit)


def test_a_reader_that_polls_while_many_write_sees_every_number(database):
    """The revocation feed in small: `n > the last that was seen`, again and again."""
    writers, reader = [database.connect() for _ in range(4)], database.connect()

    def write(store):
        for _ in range(25):
            store.begin(wait=False)
            store.add_revocation("token", "jti", NOW + 1)
            store.commit()

    threads = [threading.Thread(target=write, args=[store]) for store in writers]
    for thread in threads:
        thread.start()
    seen = [0]
    while len(seen) <= 100:
        reader.begin_reading()
        seen += [entry.n for entry in reader.revocations_after(seen[-1], NOW)]
        reader.commit()
        assert seen == list(range(len(seen)))
    for thread in threads:
        thread.join()
