"""One webhook at work: its events in their order, each tried until it arrives. It holds up no other webhook."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from hourpass.core.published import takes
from hourpass.core.webhook import Attempt, Delivered, Disabled, EndWebhook, TryAgain, Webhook, decide_delivery
from hourpass.server.ledger.news import News
from hourpass.server.store.webhooks import WebhookDelivery, WebhookProgress
from hourpass.server.telemetry.counts import Counts
from hourpass.server.webhooks.book import Book
from hourpass.server.webhooks.destination import LookUp
from hourpass.server.webhooks.events import EventPage, Occurred
from hourpass.server.webhooks.message import outgoing
from hourpass.server.webhooks.reader import SeenPage
from hourpass.server.webhooks.sending import Sender

PATIENCE = 60.0
"""Seconds after which a webhook that waits for news looks by itself."""

WORTH_SAVING = 1_000
"""How many lines of the trail without an event for a webhook are passed before that is written down."""


class Office(NamedTuple):
    """What all webhooks of a node share. `read` reads a page of events, `may_send` says whether this node delivers.

    `disable` is called with a webhook that is given up.
    """

    clock: Callable[[], int]
    chance: Callable[[], float]
    news: News
    read: Callable[[int], Awaitable[SeenPage]]
    may_send: Callable[[], bool]
    disable: Callable[[Webhook, Disabled], Awaitable[None]]
    book: Book
    counts: Counts
    tls: ssl.SSLContext
    allow_private: bool
    look_up: LookUp


class Channel:
    """Delivers the events of one webhook, as it was when it was read, from `run` until that is cancelled.

    `secrets` are called with an instant. `delivered` and `failing_since` say how far it is. `waits_since` is when the
    event happened that is being delivered, None if there is none.
    """

    def __init__(self, webhook: Webhook, secrets: Callable[[int], Sequence[bytes]], office: Office) -> None:
        self.webhook = webhook
        self.delivered = webhook.delivered
        self.failing_since = webhook.failing_since
        self.waits_since: int | None = None
        self._secrets = secrets
        self._office = office
        self._noted = webhook.delivered
        self._given_up = False

    async def run(self) -> None:
        """Deliver until the webhook is given up."""
        office = self._office
        sender = Sender(self.webhook.url, office.tls, allow_private=office.allow_private, look_up=office.look_up)
        try:
            while not self._given_up:
                after, known = self.delivered, office.news.last
                page, revisions = await office.read(after)
                if revisions.get(self.webhook.webhook_id) != self.webhook.revision:
                    await asyncio.sleep(0.5)  # it was changed, and another channel takes its place
                    continue
                await self._deliver_all(page, sender)
                # The page alone says how far this webhook is. The news only say when to look.
                if not await office.news.wait(office.news.next_after(after, self.delivered, known), PATIENCE):
                    await asyncio.sleep(1)  # so many wait already, or the node drains
        finally:
            await sender.close()

    async def _deliver_all(self, page: EventPage, sender: Sender) -> None:
        for occurred in page.events:
            if takes(self.webhook.events, occurred.event.type):
                self.waits_since = occurred.at
                await self._deliver(occurred, sender)
                if self._given_up:
                    return
                self.waits_since = None
            self.delivered = occurred.event.number
        self.delivered = max(self.delivered, page.last)
        if self.delivered - self._noted >= WORTH_SAVING:
            self._note(None)

    async def _deliver(self, occurred: Occurred, sender: Sender) -> None:
        """Try until the event has arrived, or the webhook is given up."""
        office = self._office
        while True:
            await office.book.room(self.webhook.webhook_id)
            while not office.may_send():
                await asyncio.sleep(0.5)
            began = office.clock()
            outcome = await sender.send(outgoing(occurred, self._secrets(began), began))
            decision = decide_delivery(self.failing_since, outcome, office.clock(), office.chance())
            office.counts.add("webhook_delivered" if isinstance(decision, Delivered) else "webhook_failed")
            match decision:
                case Delivered():
                    self.failing_since, self.delivered = None, occurred.event.number
                    self._note(self._entry(occurred, outcome, began))
                    return
                case TryAgain(since, pause):
                    self.failing_since = since
                    self._note(self._entry(occurred, outcome, began))
                    await asyncio.sleep(pause / 1000)
                case EndWebhook(why):
                    self._note(self._entry(occurred, outcome, began))
                    await office.disable(self.webhook, why)
                    self._given_up = True
                    return

    def _entry(self, occurred: Occurred, outcome: Attempt, began: int) -> WebhookDelivery:
        event = occurred.event
        return WebhookDelivery(
            self.webhook.webhook_id, began, event.number, event.type, outcome.result, outcome.status, outcome.took
        )

    def _note(self, delivery: WebhookDelivery | None) -> None:
        self._noted = self.delivered
        progress = WebhookProgress(self.webhook.webhook_id, self.webhook.revision, self.delivered, self.failing_since)
        self._office.book.note(progress, delivery)
