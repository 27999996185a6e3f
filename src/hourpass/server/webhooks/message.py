"""An event as it is sent: the body and the headers that prove its origin (Standard Webhooks)."""

from collections.abc import Sequence

import msgspec

from hourpass.admin.instants import exact_moment
from hourpass.admin.shapes import EventData, PublishedEvent
from hourpass.core.actor import Actor
from hourpass.core.published import TEST
from hourpass.core.webhook import message_id, signature_headers
from hourpass.server.webhooks.events import Occurred
from hourpass.server.webhooks.sending import Outgoing

_encode = msgspec.json.Encoder().encode


def outgoing(occurred: Occurred, secrets: Sequence[bytes], now: int) -> Outgoing:
    """What is sent for an event at an instant, signed with each secret. Its id is the same at every attempt."""
    body = _encode(occurred.event)
    return Outgoing(body, signature_headers(secrets, message_id(occurred.event.number, occurred.at), now, body))


def test_event(webhook_id: str, actor: Actor, now: int) -> Occurred:
    """The event that tries out a webhook. It is not in the trail, so its number is 0."""
    detail = {"webhook_id": webhook_id}
    data = EventData(key_id=None, grant_id=None, actor=actor.name, address=actor.address, detail=detail)
    return Occurred(now, PublishedEvent(type=TEST, number=0, timestamp=exact_moment(now), data=data))
