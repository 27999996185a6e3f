"""The Store port, in the words of the use cases. A store keeps and returns rows. It decides nothing and reads no clock.

Each subject has a module: what is asked about it, and how both databases answer alike. A method that is abstract there
is in `sqlite.py` and `postgres.py`.

A store belongs to one thread at a time: the ledger's. Every method but `begin…`, `look`, `migrate` and `close` runs
inside a transaction. Each may raise `StorageUnavailable`, and then the caller rolls back. Instants are epoch
milliseconds.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hourpass.server.store.api_keys import KeyStore
from hourpass.server.store.audit_trail import AuditStore
from hourpass.server.store.connection import TransactionConflict
from hourpass.server.store.control import ControlStore
from hourpass.server.store.copying import CopyStore
from hourpass.server.store.grants import GrantStore
from hourpass.server.store.idempotent_calls import IdempotentCallStore
from hourpass.server.store.key_secrets import KeySecretStore
from hourpass.server.store.key_uses import KeyUseStore
from hourpass.server.store.migrations import MigrationStore
from hourpass.server.store.revocations import RevocationStore
from hourpass.server.store.sealed import SealedStore
from hourpass.server.store.sign_ins import SignInStore
from hourpass.server.store.stats import StatsStore
from hourpass.server.store.tables import TableStore
from hourpass.server.store.webhooks import WebhookStore

PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The longest pause, in seconds, before each further attempt at a transaction that conflicted with another one."""

T = TypeVar("T")


class Store(
    GrantStore,
    KeyStore,
    KeySecretStore,
    KeyUseStore,
    RevocationStore,
    AuditStore,
    SealedStore,
    WebhookStore,
    StatsStore,
    SignInStore,
    IdempotentCallStore,
    ControlStore,
    CopyStore,
    TableStore,
    MigrationStore,
):
    """What the use cases need from a database."""

    def commit(self) -> None:
        """Make the transaction durable. Only after this may a caller get an answer."""
        self._commit()
        self._keep_sifted()

    def rollback(self) -> None:
        """Undo the transaction, if there is one. Never raises."""
        self._rollback()
        self._undo_sifted()


class SharedStore(Store):
    """A store over a network, which several servers share. Its statements are in `sql/postgres/`."""

    def time(self) -> int:
        """The database's clock, in epoch milliseconds. Every node compares its own clock with it."""
        return int(self._rows("time")[0][0])

    def numbered_since(self) -> int:
        """When the numbering of revocations began without a break, in epoch milliseconds."""
        return int(self._rows("numbered_since")[0][0])

    def take_lease(self, name: str, holder: str, now: int, until: int) -> bool:
        """Take or renew the lease of a name until an instant. False if another holder has it now."""
        return self._run("take_lease", name, holder, until, now) > 0


@contextmanager
def transaction(store: Store) -> Iterator[Store]:
    """One transaction that writes. It is committed at the end, or undone if anything goes wrong."""
    store.begin(wait=True)
    try:
        yield store
        store.commit()
    except BaseException:
        store.rollback()
        raise


@contextmanager
def reading(store: Store) -> Iterator[Store]:
    """One transaction that reads one moment of the database. No writer waits for it."""
    store.begin_reading()
    try:
        yield store
        store.commit()
    except BaseException:
        store.rollback()
        raise


def persist(attempt: Callable[[], T], undo: Callable[[], None]) -> T:
    """Attempt a transaction, and return its result. After a conflict it is undone and attempted again, a few times.

    Raises:
        TransactionConflict: if every attempt conflicted with another transaction.
        Exception: any other error of the attempt. The transaction is undone then, too.
    """
    for pause in (*PAUSES, None):
        try:
            return attempt()
        except TransactionConflict:
            undo()
            if pause is None:
                raise
            time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
        except BaseException:
            undo()
            raise
    raise AssertionError("the last attempt returns or raises")
