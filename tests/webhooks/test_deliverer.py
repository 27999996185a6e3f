"""The deliverer of a node, in process: the test ticks, as a server does twice a second."""

import asyncio
import os

import pytest
from tests.webhooks.conftest import ACTOR, NOW
from tests.webhooks.receivers import accepts

from hourpass.core.key_events import KeyCreated
from hourpass.core.policy import Policy
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.telemetry.counts import Counts
from hourpass.server.webhooks.book import MOST_UNSAVED
from hourpass.server.webhooks.deliverer import Deliverer
from hourpass.server.webhooks.destination import read_destination
from hourpass.server.webhooks.webhooks import create_webhook, get_webhook

EVENTS = 6 * MOST_UNSAVED


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def ledger(anyio_backend):
    store = SqliteStore(":memory:")
    store.migrate(NOW)
    ledger = Ledger(store, Policy())
    yield ledger
    await ledger.close()
    store.close()


@pytest.fixture
async def deliverer(ledger, master):
    deliverer = Deliverer(ledger, master, lambda: NOW, Counts(), shared=False, allow_private=True)
    yield deliverer
    await deliverer.stop()


@pytest.mark.anyio
async def test_a_fast_receiver_does_not_wait_for_the_next_time_that_its_progress_is_written(
    ledger, deliverer, master, receive
):
    """There is no next time: after the first tick nobody ticks any more, and everything arrives and is written down.

    So nobody delays a replayed refresh token by making many other events.
    """
    fast = receive(accepts, certificate=None)
    to = read_destination(fast.url(), allow_private=True)
    made = await ledger.run(lambda store: create_webhook(store, master, to, NOW, os.urandom, actor=ACTOR))
    await ledger.observe()
    await deliverer.tick()

    await ledger.run(lambda store: store.append_audit(NOW, [KeyCreated("0aZkey000001", "a name", ACTOR)] * EVENTS))
    last = (await ledger.observe()).last_audit
    async with asyncio.timeout(60):
        while len(fast.received) < EVENTS:
            await asyncio.sleep(0.01)

    assert fast.numbers() == list(range(last - EVENTS + 1, last + 1))
    written = await ledger.run(lambda store: get_webhook(store, made.webhook.webhook_id))
    assert last - written.delivered <= MOST_UNSAVED
