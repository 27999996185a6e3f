"""What the deliveries of all webhooks came to, until it is in the database: one transaction for many of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from hourpass.core.webhook import DELIVERIES_KEPT, MOST_DELIVERIES
from hourpass.server.store import Store
from hourpass.server.store.webhooks import WebhookDelivery, WebhookProgress

MOST_UNSAVED = 100
"""How many attempts of a webhook may be unsaved. A crash repeats at most so many deliveries."""


class Book:
    """Keeps what happened until `save`. `run` is the ledger's. Belongs to one event loop."""

    def __init__(self, run: Callable[[Callable[[Store], Any]], Awaitable[Any]], clock: Callable[[], int]) -> None:
        self._run = run
        self._clock = clock
        self._progress: dict[str, WebhookProgress] = {}
        self._deliveries: list[WebhookDelivery] = []
        self._unsaved: Counter[str] = Counter()
        self._saving = asyncio.Lock()

    def note(self, progress: WebhookProgress, delivery: WebhookDelivery | None = None) -> None:
        """Note how far a webhook is, and how an attempt went."""
        self._progress[progress.webhook_id] = progress
        if delivery is not None:
            self._deliveries.append(delivery)
            self._unsaved[progress.webhook_id] += 1

    async def room(self, webhook_id: str) -> None:
        """Write everything down if much of a webhook is unsaved: a fast receiver does not wait for the next `save`.

        Raises:
            StorageUnavailable: as `save`.
        """
        if self._unsaved[webhook_id] >= MOST_UNSAVED:
            # A webhook that is changed meanwhile ends its work, and must not leave a transaction half noted.
            await asyncio.shield(self.save())

    async def save(self) -> None:
        """Write it all down.

        Raises:
            StorageUnavailable: if it was not kept. It is written the next time.
        """
        async with self._saving:
            if not self._progress:
                return
            progress, deliveries, unsaved = dict(self._progress), list(self._deliveries), self._unsaved.copy()
            before = self._clock() - DELIVERIES_KEPT

            def work(store: Store) -> None:
                for each in progress.values():
                    store.save_progress(each)
                store.add_deliveries(deliveries)
                for webhook_id in unsaved:
                    store.prune_deliveries(webhook_id, before, MOST_DELIVERIES)

            await self._run(work)
            # What was noted meanwhile stays for the next time.
            self._progress = {key: now for key, now in self._progress.items() if progress.get(key) != now}
            self._deliveries = self._deliveries[len(deliveries) :]
            self._unsaved = self._unsaved - unsaved
