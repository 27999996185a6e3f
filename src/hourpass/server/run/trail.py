"""What a node writes into the audit trail by itself, and what it deletes from it.

It writes the counts of what was folded, trouble of the database, and notices of keys that expire.
"""

import asyncio
import random
from collections.abc import Callable

from hourpass.core.audit import Event
from hourpass.core.key_expiry import NOTICES, first_worth_telling, notice, told_until
from hourpass.core.policy import SECOND
from hourpass.core.server_events import StorageRecovered, StorageTrouble
from hourpass.server.keys.audit_chain import prune_rows
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import Store

SETTLED = 3 * SECOND
"""Trouble is over after so long without any. One success between two failures does not end it."""

TOGETHER = 500
"""Notices that one transaction writes, or lines that it deletes: a few milliseconds."""


class TrailKeeper:
    """Writes for one node. `clock` returns epoch milliseconds. `retention` is in milliseconds, None means for ever."""

    def __init__(self, ledger: Ledger, secrets: Secrets, clock: Callable[[], int], retention: int | None) -> None:
        self._ledger = ledger
        self._secrets = secrets
        self._retention = retention
        self._clock = clock
        self._trouble_began: int | None = None
        self._trouble_latest = 0

    async def keep_counts(self, *, leaving: bool = False) -> None:
        """Write down how much was folded in the hours that are over. With `leaving`, in all of them.

        Raises:
            StorageUnavailable: if nothing was kept. It is tried again with the next call.
        """
        now = self._clock()
        counts = self._ledger.folds.counts(now, leaving=leaving)
        if counts:
            await self._ledger.run(lambda store: store.append_audit(now, counts))
            self._ledger.folds.wrote(counts)

    def trouble(self) -> None:
        """The database did not do what it was asked. It is written when it does so again."""
        self._trouble_latest = self._clock()
        if self._trouble_began is None:
            self._trouble_began = self._trouble_latest

    async def keep_trouble(self) -> None:
        """The database works at this moment: write down the trouble that is over.

        Raises:
            StorageUnavailable: if it was not kept.
        """
        began, now = self._trouble_began, self._clock()
        if began is None or now - self._trouble_latest < SETTLED:
            return
        lines: list[tuple[int, Event]] = [(began, StorageTrouble()), (now, StorageRecovered(began))]
        await self._ledger.run(lambda store: store.append_lines(lines))
        self._trouble_began = None

    async def tell_expiring(self) -> None:
        """Write down which keys expire soon, or have expired, since this was last written by any node.

        Raises:
            StorageUnavailable: if it was not kept. The next call goes on where this one ended.
        """
        now = self._clock()

        def tell(store: Store) -> bool:
            return any([tell_expiring(store, days, now) for days in NOTICES])  # noqa: C419 - all of them

        while await self._ledger.run(tell):
            pass

    async def prune(self) -> None:
        """Delete what is older than the retention, in small transactions.

        Raises:
            StorageUnavailable: if it was not done. ChainBroken: if somebody has tampered with the trail.
        """
        if self._retention is None:
            return
        now = self._clock()
        before = now - self._retention

        def work(store: Store) -> int:
            return prune_rows(store, self._secrets, before, now, TOGETHER)

        while await self._ledger.run(work) == TOGETHER:
            await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, not a secret


def tell_expiring(store: Store, days: int, now: int, limit: int = TOGETHER) -> bool:
    """Write the next notices of so many days before a key's end. Says whether there may be more."""
    until, told = told_until(days, now), store.told_expiries(days)
    if told is None:
        # The first time: nobody needs the notices that were due earlier.
        store.note_told_expiries(days, until)
        return False
    found = store.expiring_keys(first_worth_telling(days, told, now), until.expires_at, limit)
    store.append_audit(now, [notice(days, expiry, name) for expiry, name in found])
    is_full = len(found) == limit
    store.note_told_expiries(days, found[-1][0] if is_full else max(told, until))
    return is_full
