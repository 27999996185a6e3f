"""What is asked and answered about published events and webhooks."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from hourpass.admin.shapes.asked import PAGE, AdminAnswer, Asked, Instant, PageLimit, TaggedAnswer
from hourpass.core.webhook import Disabled, Result

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class EventData(AdminAnswer, kw_only=True):
    """What an event is about: who did it, from where, and the other members of the line in the audit trail."""

    key_id: str | None
    grant_id: str | None
    actor: str | None
    address: str | None
    detail: dict[str, Any]


class PublishedEvent(AdminAnswer, kw_only=True):
    """An event as receivers get it. `number` is that of its line in the audit trail, 0 of a test."""

    type: str
    number: int
    timestamp: Instant
    data: EventData


class ListEvents(Asked, kw_only=True):
    """The published events after a number. If there are none, wait for one for up to so many seconds."""

    after: Number = 0
    wait: Annotated[int, msgspec.Meta(ge=0, le=30)] = 0
    limit: PageLimit = 100


class EventList(AdminAnswer, kw_only=True):
    """Published events in order. Ask again after `last`, also if there are none here."""

    data: list[PublishedEvent]
    last: int


class ShownWebhook(TaggedAnswer, kw_only=True):
    """A webhook, without any secret. No `events` means all of them.

    It has every event up to the number `delivered_up_to`, or did not want it. `url` is only the origin if the caller
    does not have `webhooks:write`.
    """

    TAGGED = ("url", "events", "description", "disabled_at")

    webhook_id: str
    url: str
    events: list[str]
    description: str
    created_at: Instant
    delivered_up_to: int
    failing_since: Instant | None
    disabled_at: Instant | None
    disabled_why: Disabled | None
    old_secrets_until: Instant | None


class CreatedWebhook(ShownWebhook, kw_only=True):
    """A webhook with its newest secret, which is shown only this once."""

    secret: str

    def __repr__(self) -> str:
        """Without the secret."""
        return f"CreatedWebhook({self.webhook_id!r})"


class WebhookList(AdminAnswer, kw_only=True):
    """All webhooks, oldest first. There are a hundred at most, so this is the only page."""

    data: list[ShownWebhook]
    next: str | None = None


class WebhookNamed(Asked, kw_only=True):
    """A webhook, by its id."""

    webhook_id: str


class CreateWebhook(Asked, kw_only=True):
    """A new webhook."""

    url: str
    events: list[str] = msgspec.field(default_factory=list)
    description: str = ""


class UpdateWebhook(WebhookNamed, kw_only=True):
    """A change of a webhook. `if_match` is the ETag it was read with."""

    url: str | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    if_match: str | None = None


class DeletedWebhook(AdminAnswer, kw_only=True):
    """The webhook that was deleted."""

    webhook_id: str


class TriedWebhook(AdminAnswer, kw_only=True):
    """What came of the test event. `status` is null if there was no answer. `took` is in milliseconds."""

    webhook_id: str
    result: Result
    status: int | None
    took: int


class ShownDelivery(AdminAnswer, kw_only=True):
    """How an attempt to deliver an event went. `took` is in milliseconds."""

    at: Instant
    number: int
    event: str
    result: Result
    status: int | None
    took: int


class ListDeliveries(WebhookNamed, kw_only=True):
    """The newest attempts of a webhook in the last day."""

    limit: PageLimit = PAGE


class DeliveryList(AdminAnswer, kw_only=True):
    """Attempts, newest first."""

    data: list[ShownDelivery]
    next: str | None = None
