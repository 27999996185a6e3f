"""Webhooks and their deliveries in a database: the questions about them, and how a webhook is a row."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hourpass.core.webhook import Result, Seed, Webhook
from hourpass.server.store.connection import DatabaseConnection, Row

EDITABLE_OF_WEBHOOK = tuple(
    Webhook._fields.index(name)
    for name in ("url", "events", "description", "seeds", "failing_since", "disabled_at", "disabled_why")
)
"""What may change of a webhook, in the order of the statement that changes it."""

_EVENTS, _SEEDS = Webhook._fields.index("events"), Webhook._fields.index("seeds")


class WebhookDelivery(NamedTuple):
    """How an attempt to deliver an event went. `at` is epoch milliseconds, `took` milliseconds.

    `number` is that of the event, 0 of a test. `status` is None if there was no answer.
    """

    webhook_id: str
    at: int
    number: int
    event: str
    result: Result
    status: int | None
    took: int


class WebhookProgress(NamedTuple):
    """How far a webhook of this revision is: the number up to which it has everything, and since when it fails."""

    webhook_id: str
    revision: int
    delivered: int
    failing_since: int | None


class WebhookStore(DatabaseConnection):
    """What is asked about webhooks."""

    def add_webhook(self, webhook: Webhook) -> None:
        """Store a new webhook."""
        self._run("add_webhook", *webhook_row(webhook))

    def webhooks(self) -> list[Webhook]:
        """All webhooks, oldest first."""
        return [read_webhook(row) for row in self._rows("webhooks")]

    def webhook(self, webhook_id: str) -> Webhook | None:
        """One webhook."""
        rows = self._rows("webhook", webhook_id)
        return read_webhook(rows[0]) if rows else None

    def update_webhook(self, webhook: Webhook) -> None:
        """Change everything that may change of a webhook, except how far it is. Its revision grows."""
        row = webhook_row(webhook)
        self._run("update_webhook", *(row[place] for place in EDITABLE_OF_WEBHOOK), webhook.webhook_id)

    def save_progress(self, progress: WebhookProgress) -> None:
        """Note how far a webhook is. It never goes back. Of another revision nothing else is noted."""
        webhook_id, revision, delivered, failing_since = progress
        self._run("save_progress", delivered, revision, failing_since, webhook_id, delivered)

    def delete_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook and what is known of its deliveries. False if it does not exist."""
        self._run("delete_deliveries", webhook_id)
        return self._run("delete_webhook", webhook_id) > 0

    def add_deliveries(self, deliveries: Sequence[WebhookDelivery]) -> None:
        """Note how attempts went."""
        self._run_many("add_delivery", deliveries)

    def deliveries(self, webhook_id: str, since: int, limit: int) -> list[WebhookDelivery]:
        """How the newest attempts of a webhook went since an instant, newest first."""
        return [WebhookDelivery._make(row) for row in self._rows("deliveries", webhook_id, since, limit)]

    def prune_deliveries(self, webhook_id: str, before: int, keep: int) -> None:
        """Forget a webhook's attempts before an instant, and all but about `keep` of the newest ones."""
        self._run("prune_deliveries", webhook_id, before, webhook_id, keep)


def webhook_row(webhook: Webhook) -> list[Any]:
    """A webhook as its columns."""
    seeds = " ".join(
        each.seed.hex() if each.until is None else f"{each.seed.hex()}@{each.until}" for each in webhook.seeds
    )
    return list(webhook._replace(events=" ".join(webhook.events), seeds=seeds))  # type: ignore[arg-type]


def read_webhook(row: Row) -> Webhook:
    """A webhook from its columns."""
    webhook = Webhook._make(row)
    return webhook._replace(
        events=tuple(row[_EVENTS].split()), seeds=tuple(_read_seed(each) for each in row[_SEEDS].split())
    )


def _read_seed(text: str) -> Seed:
    seed, _, until = text.partition("@")
    return Seed(bytes.fromhex(seed), int(until) if until else None)
