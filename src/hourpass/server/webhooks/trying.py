"""Tries out a webhook: one attempt, at once, before any events that wait for it.

Call it outside of any transaction, because it may take as long as an endpoint may.
"""

import asyncio

import httpx2

from hourpass.core.actor import Actor
from hourpass.core.published import TEST
from hourpass.core.webhook import Attempt, Webhook
from hourpass.server.store.webhooks import WebhookDelivery
from hourpass.server.webhooks.destination import LookUp, addresses_of
from hourpass.server.webhooks.message import outgoing, test_event
from hourpass.server.webhooks.sending import Sender
from hourpass.server.webhooks.webhooks import secrets_of


def try_out(
    webhook: Webhook,
    server_secret: bytes,
    now: int,
    *,
    actor: Actor,
    allow_private: bool = False,
    look_up: LookUp = addresses_of,
) -> Attempt:
    """Send the test event to a webhook, disabled or not, and say how that went. Not for a thread with an event loop."""
    message = outgoing(test_event(webhook.webhook_id, actor, now), secrets_of(server_secret, webhook, now), now)

    async def send() -> Attempt:
        sender = Sender(webhook.url, httpx2.create_ssl_context(), allow_private=allow_private, look_up=look_up)
        try:
            return await sender.send(message)
        finally:
            await sender.close()

    return asyncio.run(send())


def as_delivery(webhook: Webhook, outcome: Attempt, now: int) -> WebhookDelivery:
    """How a test went, for the list of deliveries."""
    return WebhookDelivery(webhook.webhook_id, now, 0, TEST, outcome.result, outcome.status, outcome.took)
