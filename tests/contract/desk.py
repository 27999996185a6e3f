"""A ledger in front of one store, with an API key, a witness of its transactions, and another process beside it."""

from collections import Counter
from contextlib import asynccontextmanager

from hourpass.core.actor import Actor
from hourpass.core.grant import Grant, generation_tag, open_grant
from hourpass.core.policy import Policy
from hourpass.core.secret_ring import ServerSecret
from hourpass.server.keys.api_keys import create_key
from hourpass.server.ledger.asking import Refreshing
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import Store, transaction
from hourpass.testing import START as NOW

POLICY = Policy()


def nothing(*_):
    return None


def same(answer):
    return answer


class Witness:
    """The real store. It counts what passes, and lets a test step in between."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seen: Counter[str] = Counter()
        self.before_commit = nothing
        self.before_save = nothing
        self.before_waiting = nothing

    def __getattr__(self, name):
        return getattr(self._store, name)

    def begin(self, *, wait):
        self.seen["waited" if wait else "tried"] += 1
        if wait:
            self.before_waiting()
        return self._store.begin(wait=wait)

    def save_rotations(self, rotations):
        self.seen["rotations"] += len(rotations)
        self.before_save(self._store)
        return self._store.save_rotations(rotations)

    def commit(self):
        self.before_commit()
        self._store.commit()
        self.seen["commits"] += 1


class Desk:
    """The ledger to which callers submit. `other` is another process's connection to the same database."""

    def __init__(self, database, queue_limit: int) -> None:
        self.other = database.connect()
        with transaction(self.other):
            self.key = create_key(
                self.other,
                ServerSecret("1", bytes(32)),
                name="test",
                now=NOW,
                random=lambda size: b"\x07" * size,
                actor=Actor("test"),
            ).key
        self.store = Witness(database.connect())
        self.ledger = Ledger(self.store, POLICY, remote=database.remote, queue_limit=queue_limit)

    def new_grant(self, number: int = 1) -> Grant:
        """A grant that nobody has opened yet. Its number is its id."""
        return open_grant(
            grant_id=number.to_bytes(16, "big"),
            seed=number.to_bytes(16, "little"),
            key_id=self.key.key_id,
            scope=None,
            now=NOW,
            policy=POLICY,
        )

    def grant(self, number: int = 1) -> Grant:
        """A grant that is open already."""
        with transaction(self.other):
            self.other.add_grants([self.new_grant(number)])
        return self.new_grant(number)

    def refresh(self, grant: Grant, generation: int = 0, now: int = NOW, finish=same, ledger: Ledger | None = None):
        """Present a generation of a grant's refresh token."""
        tag = generation_tag(grant.seed, generation)
        return (ledger or self.ledger).refresh(Refreshing(grant.ref, generation, tag, None, now), finish)

    def open(self, grant: Grant):
        return self.ledger.open(grant, NOW, same)

    def seen_by_others(self, look):
        """The rows that another process sees at this moment."""
        self.other.begin_reading()
        try:
            return look(self.other)
        finally:
            self.other.commit()

    def row(self, grant: Grant) -> Grant | None:
        return self.seen_by_others(lambda store: store.grants([grant.ref]).get(grant.ref))

    def trail(self) -> list[str]:
        """The names of the audit trail's events, without the key's creation."""
        return [record.event for record in self.seen_by_others(lambda store: store.audit_after(0, 100))][1:]

    def lock(self) -> None:
        """Another process begins to write."""
        assert self.other.begin(wait=False)


@asynccontextmanager
async def open_desk(database, *, queue_limit: int = 10_000):
    """A desk on stores of a database, which closes them."""
    desk = Desk(database, queue_limit)
    yield desk
    desk.other.rollback()
    await desk.ledger.close()
