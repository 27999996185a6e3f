"""What the audit trail says about webhooks: one type for each event. None holds a secret or a whole URL."""

from typing import NamedTuple

from hourpass.core.actor import Actor


class WebhookCreated(NamedTuple):
    """A webhook was made. `url` is only the origin of its URL, because the rest may be a secret of the receiver."""

    webhook_id: str
    url: str
    actor: Actor


class WebhookUpdated(NamedTuple):
    """Members of a webhook were changed: those that differ, as they were and as they are. URLs are only origins."""

    webhook_id: str
    old: dict[str, object]
    new: dict[str, object]
    actor: Actor


class WebhookRotated(NamedTuple):
    """The next signing secret of a webhook was made. The one before it signs along until an epoch millisecond."""

    webhook_id: str
    signs_until: int
    actor: Actor


class WebhookDisabled(NamedTuple):
    """A webhook gets no events any more.

    `why` is an operator's decision (`operator`), an endpoint that failed for three days (`failing`), or one that
    answered with 410 (`gone`).
    """

    webhook_id: str
    url: str
    why: str
    actor: Actor


class WebhookEnabled(NamedTuple):
    """A disabled webhook gets events again, those of the meantime first."""

    webhook_id: str
    actor: Actor


class WebhookDeleted(NamedTuple):
    """A webhook was deleted."""

    webhook_id: str
    url: str
    actor: Actor
