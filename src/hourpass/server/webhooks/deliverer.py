"""Delivers events to webhooks: one task for each of them, on one node of all that share a database.

How far each webhook is lies in the database, so another node goes on there. It repeats what was not noted, and skips
nothing.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

import httpx2

from hourpass.clocks import draw
from hourpass.core.errors import Unavailable
from hourpass.core.webhook import Disabled, Webhook
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import SharedStore, Store
from hourpass.server.telemetry.counts import Counts
from hourpass.server.webhooks.book import Book
from hourpass.server.webhooks.channel import Channel, Office
from hourpass.server.webhooks.destination import LookUp, addresses_of
from hourpass.server.webhooks.reader import EventReader
from hourpass.server.webhooks.webhooks import disable_failed, secrets_of, server_secret, shown_url

LEASE = 6_000
"""Milliseconds for which the node that delivers stays the one that does. Another one takes over after it."""

TAKEN_AGAIN_AFTER = 2_000
"""Milliseconds after which its holder takes it for longer."""

LEASE_NAME = "webhooks"

log = logging.getLogger("hourpass")


class _Known(NamedTuple):
    webhooks: list[Webhook]
    server_secret: bytes


class _Working(NamedTuple):
    channel: Channel
    task: "asyncio.Task[None]"


class Deliverer:
    """The webhooks of one node. Call `tick` about twice a second, and `stop` at the end.

    `shared` says that nodes share the database, and one of them delivers. `look_up` finds the addresses of a host.
    """

    def __init__(
        self,
        ledger: Ledger,
        master: MasterKey,
        clock: Callable[[], int],
        counts: Counts,
        *,
        shared: bool,
        allow_private: bool,
        look_up: LookUp = addresses_of,
    ) -> None:
        self._ledger = ledger
        self._master = master
        self._clock = clock
        self._counts = counts
        self._shared = shared
        self._allow_private = allow_private
        self._look_up = look_up
        self._node = os.urandom(8).hex()
        self._book = Book(ledger.run, clock)
        self._reader = EventReader(ledger.read, ledger.news)
        self._leads_until = 0
        self._renewed_at = 0
        self._read_at = -1
        self._known = _Known([], b"")
        self._working: dict[str, _Working] = {}
        self._office: Office | None = None

    async def tick(self) -> None:
        """Take or renew the lease, take in what operators changed, and write down what was delivered."""
        try:
            if not await self._leads():
                await self._end_all()
                return
            if self._read_at != self._ledger.news.last:
                await self._read()
            await self._book.save()
        except Unavailable:
            if not self._may_send():
                await self._end_all()
            raise

    async def stop(self) -> None:
        """End all attempts: one under way is repeated by the next node. Write down what was delivered."""
        await self._end_all()
        with contextlib.suppress(Unavailable):
            await self._book.save()
            if self._shared and self._leads_until:
                now = self._clock()
                await self._ledger.run(lambda store: _take(store, self._node, now, now))

    # What the gauges show.

    def count(self, state: str) -> int:
        """How many webhooks are `ok`, `failing`, `given_up` or `disabled` by an operator, on the node that delivers."""
        ended = [each.disabled_why == "operator" for each in self._known.webhooks if each.disabled_at is not None]
        failing = sum(each.channel.failing_since is not None for each in self._working.values())
        counts = {"disabled": sum(ended), "given_up": len(ended) - sum(ended), "failing": failing}
        return counts[state] if state in counts else len(self._known.webhooks) - sum(counts.values())

    @property
    def lag(self) -> float:
        """How many seconds ago the oldest event happened that some webhook waits for."""
        waiting = [at for each in self._working.values() if (at := each.channel.waits_since) is not None]
        return max(0, self._clock() - min(waiting)) / 1000 if waiting else 0.0

    def _may_send(self) -> bool:
        return not self._shared or self._clock() < self._leads_until

    async def _leads(self) -> bool:
        """Whether this node delivers. Only it has the database, or it has the lease."""
        now = self._clock()
        if not self._shared or (now - self._renewed_at < TAKEN_AGAIN_AFTER and now < self._leads_until):
            return True
        until = now + LEASE
        if await self._ledger.run(lambda store: _take(store, self._node, now, until)):
            self._renewed_at, self._leads_until = now, until
            return True
        self._leads_until = 0
        return False

    async def _read(self) -> None:
        """Read the webhooks, and begin and end their work."""
        number = self._ledger.news.last
        self._known = await self._ledger.read(self._all_webhooks)
        enabled = {each.webhook_id: each for each in self._known.webhooks if each.disabled_at is None}
        for webhook_id, (channel, _) in list(self._working.items()):
            now = enabled.get(webhook_id)
            if now is None or now.revision != channel.webhook.revision:
                await self._end(webhook_id)
                if now is not None:  # what it delivered may not be in the database yet
                    enabled[webhook_id] = now._replace(delivered=max(now.delivered, channel.delivered))
        for webhook_id, webhook in enabled.items():
            if webhook_id not in self._working:
                await self._begin(webhook)
        self._read_at = number

    def _all_webhooks(self, store: Store) -> _Known:
        webhooks = store.webhooks()
        return _Known(webhooks, server_secret(store, self._master) if webhooks else b"")

    async def _begin(self, webhook: Webhook) -> None:
        if self._office is None:
            self._office = await self._open_office()
        secrets = partial(_signing, self._known.server_secret, webhook)
        channel = Channel(webhook, secrets, self._office)
        self._working[webhook.webhook_id] = _Working(channel, asyncio.create_task(self._work(channel)))

    async def _end(self, webhook_id: str) -> None:
        working = self._working.pop(webhook_id)
        working.task.cancel()
        await asyncio.gather(working.task, return_exceptions=True)

    async def _end_all(self) -> None:
        for webhook_id in list(self._working):
            await self._end(webhook_id)
        self._known, self._read_at = _Known([], b""), -1

    async def _open_office(self) -> Office:
        # Reading the certificates of the authorities takes too long for the event loop.
        tls = await asyncio.to_thread(httpx2.create_ssl_context)
        return Office(
            clock=self._clock,
            chance=draw,
            news=self._ledger.news,
            read=self._reader.after,
            may_send=self._may_send,
            disable=self._disable,
            book=self._book,
            counts=self._counts,
            tls=tls,
            allow_private=self._allow_private,
            look_up=self._look_up,
        )

    async def _work(self, channel: Channel) -> None:
        while True:
            try:
                await channel.run()
                return
            except Unavailable:
                await asyncio.sleep(1)  # others report the trouble of the storage
            except Exception:
                log.exception("webhook stopped", extra={"webhook_id": channel.webhook.webhook_id})
                await asyncio.sleep(60)

    async def _disable(self, webhook: Webhook, why: Disabled) -> None:
        now = self._clock()
        if await self._ledger.run(lambda store: disable_failed(store, webhook, why, now)):
            facts = {"webhook_id": webhook.webhook_id, "url": shown_url(webhook.url), "why": why}
            log.warning("webhook disabled", extra=facts)


def _signing(server_secret: bytes, webhook: Webhook, now: int) -> Sequence[bytes]:
    return secrets_of(server_secret, webhook, now)


def _take(store: Store, node: str, now: int, until: int) -> bool:
    return cast("SharedStore", store).take_lease(LEASE_NAME, node, now, until)
