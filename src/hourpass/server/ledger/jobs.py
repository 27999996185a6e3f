"""Work that is not part of a batch: each job in a transaction of its own, in the thread of a lane."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from hourpass.core.errors import StorageUnavailable
from hourpass.server.store import Store, persist
from hourpass.server.store.connection import Unreachable

JobKind = Literal["writes", "reads", "looks"]


class Job(NamedTuple):
    """What to do with the store, and who waits for it."""

    work: Callable[[Store], Any]
    kind: JobKind
    future: "asyncio.Future[Any]"


def do_all(jobs: Sequence[Job], store: Store) -> list[Any]:
    """What each job returns or raises. One that met another transaction is done again."""
    outcomes: list[Any] = []
    given_up: dict[JobKind, StorageUnavailable] = {}
    for job in jobs:
        try:
            outcomes.append(persist(partial(_do, job, store, given_up), store.rollback))
        except Exception as error:  # noqa: BLE001 - it is the caller's answer
            outcomes.append(error)
    return outcomes


def _do(job: Job, store: Store, given_up: dict[JobKind, StorageUnavailable]) -> Any:
    """One job in its transaction. If a kind of transaction could not begin, this turn does not wait for it again."""
    if job.kind in given_up:
        raise given_up[job.kind]
    try:
        match job.kind:
            case "looks":
                return job.work(store)  # it is a transaction by itself
            case "reads":
                store.begin_reading()
            case "writes":
                store.begin(wait=True)
    except StorageUnavailable as error:
        kinds: tuple[JobKind, ...] = ("writes", "reads", "looks") if isinstance(error, Unreachable) else (job.kind,)
        given_up.update(dict.fromkeys(kinds, error))
        raise
    result = job.work(store)
    store.commit()
    return result
