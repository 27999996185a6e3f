"""One webhook at work, while the trail goes on between its steps: the test says when what happens."""

import asyncio
import contextlib
import os
import ssl

import pytest
from tests.webhooks.conftest import ACTOR, NOW
from tests.webhooks.receivers import accepts

from hourpass.core.key_events import KeyCreated
from hourpass.core.policy import Policy
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.telemetry.counts import Counts
from hourpass.server.webhooks.book import Book
from hourpass.server.webhooks.channel import Channel, Office
from hourpass.server.webhooks.destination import addresses_of, read_destination
from hourpass.server.webhooks.reader import EventReader
from hourpass.server.webhooks.webhooks import create_webhook


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Node:
    """A ledger with one webhook. `meanwhile` is called when a page is read, before the webhook gets it."""

    def __init__(self, store, master, receiver):
        self.ledger = Ledger(store, Policy())
        self.receiver = receiver
        self.meanwhile = None
        self.pages = 0
        self._master = master
        self._reader = EventReader(self.ledger.read, self.ledger.news)

    async def happen(self):
        """A published event, of which this node knows. Returns its number."""
        await self.ledger.run(lambda store: store.append_audit(NOW, [KeyCreated("0aZkey000001", "a name", ACTOR)]))
        return (await self.ledger.observe()).last_audit

    async def read(self, after):
        page = await self._reader.after(after)
        self.pages += 1
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return page

    @contextlib.asynccontextmanager
    async def channel(self):
        """The webhook at work. It knows of all that happened, so its first page is empty."""
        to = read_destination(self.receiver.url(), allow_private=True)
        made = await self.ledger.run(
            lambda store: create_webhook(store, self._master, to, NOW, os.urandom, actor=ACTOR)
        )
        last = (await self.ledger.observe()).last_audit

        async def no_end(webhook, why):
            pytest.fail("it was given up")

        office = Office(
            clock=lambda: NOW,
            chance=lambda: 0.5,
            news=self.ledger.news,
            read=self.read,
            may_send=lambda: True,
            disable=no_end,
            book=Book(self.ledger.run, lambda: NOW),
            counts=Counts(),
            tls=ssl.create_default_context(),
            allow_private=True,
            look_up=addresses_of,
        )
        channel = Channel(made.webhook._replace(delivered=last), lambda now: [b"x" * 32], office)
        work = asyncio.create_task(channel.run())
        try:
            yield channel
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def waits(self):
        """Until the webhook waits for news."""
        async with asyncio.timeout(20):
            while not self.ledger.news.waiting:
                await asyncio.sleep(0)


@pytest.fixture
async def node(anyio_backend, master, receive):
    store = SqliteStore(":memory:")
    store.migrate(NOW)
    node = Node(store, master, receive(accepts, certificate=None))
    yield node
    await node.ledger.close()
    store.close()


@pytest.mark.anyio
async def test_an_event_that_happens_while_a_page_is_read_is_delivered(node):
    """The page is empty, and the node knows of it before the webhook has the page."""
    happened = []

    async def meanwhile():
        happened.append(await node.happen())

    node.meanwhile = meanwhile
    async with node.channel() as channel:
        await node.waits()
        assert node.receiver.numbers() == happened
        assert [channel.delivered] == happened


@pytest.mark.anyio
async def test_a_webhook_whose_newest_lines_are_gone_waits_for_news_and_passes_over_none(node):
    """As after a failover that lost them. Their numbers come again."""
    async with node.channel():
        node.ledger.news.seen(100)
        await node.waits()
        pages = node.pages
        again = await node.happen()
        assert again < 100
        for _ in range(10):
            await asyncio.sleep(0)
        assert node.pages == pages
        node.ledger.news.seen(101)
        async with asyncio.timeout(20):
            while not node.receiver.received:
                await asyncio.sleep(0)
        assert node.receiver.numbers() == [again]
