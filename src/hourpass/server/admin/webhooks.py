"""Published events and webhooks: list, make, change, rotate, try out and delete them."""

from typing import Any

from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.instants import exact_moment, known_moment, moment
from hourpass.core.admin_access import sees_whole_url
from hourpass.core.audit_filter import require_reached
from hourpass.core.errors import ChangedMeanwhile, InvalidRequest
from hourpass.core.webhook import Attempt, Webhook
from hourpass.server.admin.context import Context, Outside
from hourpass.server.store.webhooks import WebhookDelivery
from hourpass.server.webhooks import webhooks
from hourpass.server.webhooks.destination import Destination, new_destination
from hourpass.server.webhooks.events import events_after
from hourpass.server.webhooks.trying import as_delivery, try_out


def list_events(ctx: Context, asked: shapes.ListEvents) -> shapes.EventList:
    """The published events after a number. Over HTTP `wait` is for how many seconds it waits for one."""
    require_reached(asked.after, ctx.store.numbers().last_audit)
    page = events_after(ctx.store, asked.after, asked.limit, ctx.caller)
    return shapes.EventList(data=[each.event for each in page.events], last=page.last)


def list_webhooks(ctx: Context, asked: shapes.Nothing) -> shapes.WebhookList:
    """All webhooks, oldest first."""
    return shapes.WebhookList(data=[_shown(ctx, webhook) for webhook in ctx.store.webhooks()])


def get_webhook(ctx: Context, asked: shapes.WebhookNamed) -> shapes.ShownWebhook:
    """One webhook."""
    return _shown(ctx, webhooks.get_webhook(ctx.store, asked.webhook_id))


def create_webhook(ctx: Context, asked: shapes.CreateWebhook) -> shapes.CreatedWebhook:
    """Make a webhook. Its secret is shown only this once."""
    made = webhooks.create_webhook(
        ctx.store,
        ctx.master,
        _destination(ctx, asked.url),
        ctx.now,
        ctx.random,
        actor=ctx.actor,
        events=asked.events,
        description=asked.description,
    )
    return _created(ctx, made)


def update_webhook(ctx: Context, asked: shapes.UpdateWebhook) -> shapes.ShownWebhook:
    """Change a webhook. One that is enabled again goes on with the events that it missed."""
    old = webhooks.get_webhook(ctx.store, asked.webhook_id)
    if not shapes.precondition_holds(asked.if_match, _shown(ctx, old).etag()):
        raise ChangedMeanwhile(f"the webhook {asked.webhook_id} was changed meanwhile: read it again")
    given = (asked.url, asked.events, asked.description, asked.disabled)
    if all(member is UNSET for member in given):
        raise InvalidRequest("nothing is asked to change")
    new = webhooks.update_webhook(
        ctx.store,
        asked.webhook_id,
        ctx.now,
        actor=ctx.actor,
        destination=None if asked.url is UNSET else _destination(ctx, asked.url),
        events=None if asked.events is UNSET else asked.events,
        description=None if asked.description is UNSET else asked.description,
        disabled=None if asked.disabled is UNSET else asked.disabled,
    )
    return _shown(ctx, new)


def delete_webhook(ctx: Context, asked: shapes.WebhookNamed) -> shapes.DeletedWebhook:
    """Delete a webhook. It gets nothing more, and what it missed is lost to it."""
    webhooks.delete_webhook(ctx.store, asked.webhook_id, ctx.now, actor=ctx.actor)
    return shapes.DeletedWebhook(webhook_id=asked.webhook_id)


def rotate_webhook_secret(ctx: Context, asked: shapes.WebhookNamed) -> shapes.CreatedWebhook:
    """Make the next secret of a webhook, shown only this once. The one before it signs along for a day."""
    made = webhooks.rotate_webhook_secret(ctx.store, ctx.master, asked.webhook_id, ctx.now, ctx.random, actor=ctx.actor)
    return _created(ctx, made)


def try_webhook(ctx: Context, asked: shapes.WebhookNamed) -> shapes.TriedWebhook:
    """Send a test event to a webhook at once, and answer how that went. A failed attempt is an answer, too."""
    webhook = webhooks.get_webhook(ctx.store, asked.webhook_id)
    if ctx.outside is None:
        own = webhooks.server_secret(ctx.store, ctx.master)
        allow_private = ctx.settings.webhook_allow_private
        raise Outside(
            lambda: try_out(webhook, own, ctx.now, actor=ctx.actor, allow_private=allow_private),
            test_of=webhook.webhook_id,
        )
    attempt: Attempt = ctx.outside
    ctx.store.add_deliveries([as_delivery(webhook, attempt, ctx.now)])
    return shapes.TriedWebhook(
        webhook_id=webhook.webhook_id, result=attempt.result, status=attempt.status, took=attempt.took
    )


def list_deliveries(ctx: Context, asked: shapes.ListDeliveries) -> shapes.DeliveryList:
    """How the attempts of the last day went, newest first."""
    found = webhooks.recent_deliveries(ctx.store, asked.webhook_id, ctx.now, asked.limit)
    return shapes.DeliveryList(data=[_delivery(each) for each in found])


def _destination(ctx: Context, url: str) -> Destination:
    """Where a new URL leads. A resolver is asked outside of the transaction, which would hold up everybody."""
    if ctx.outside is None:
        raise Outside(lambda: new_destination(url, allow_private=ctx.settings.webhook_allow_private))
    found: Destination = ctx.outside
    return found


def _shown(ctx: Context, webhook: Webhook) -> shapes.ShownWebhook:
    return shapes.ShownWebhook(**_members(ctx, webhook))


def _created(ctx: Context, made: webhooks.NewSecret) -> shapes.CreatedWebhook:
    return shapes.CreatedWebhook(**_members(ctx, made.webhook), secret=made.secret)


def _members(ctx: Context, webhook: Webhook) -> dict[str, Any]:
    old = [seed.until for seed in webhook.seeds if seed.until is not None and ctx.now < seed.until]
    return {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url if sees_whole_url(ctx.caller) else webhooks.shown_url(webhook.url),
        "events": list(webhook.events),
        "description": webhook.description,
        "created_at": known_moment(webhook.created_at),
        "delivered_up_to": webhook.delivered,
        "failing_since": moment(webhook.failing_since),
        "disabled_at": moment(webhook.disabled_at),
        "disabled_why": webhook.disabled_why,
        "old_secrets_until": moment(max(old, default=None)),
    }


def _delivery(delivery: WebhookDelivery) -> shapes.ShownDelivery:
    return shapes.ShownDelivery(
        at=exact_moment(delivery.at),
        number=delivery.number,
        event=delivery.event,
        result=delivery.result,
        status=delivery.status,
        took=delivery.took,
    )
