"""Webhooks: where events are sent and how that goes. Make one, change it, try it out, and end it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import (
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    GET_WEBHOOK,
    LIST_DELIVERIES,
    LIST_EVENTS,
    LIST_WEBHOOKS,
    ROTATE_WEBHOOK_SECRET,
    TRY_WEBHOOK,
    UPDATE_WEBHOOK,
)
from hourpass.core.errors import ChangedMeanwhile, InvalidRequest, PrivateAddress
from hourpass.core.narrowing import fewer_events
from hourpass.core.published import PUBLISHED, TEST, takes
from hourpass.core.webhook import tried_again_by
from hourpass.server.console.page import Confirmation, Fields, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages.webhook_words import OUTCOMES, WHY_DISABLED, hint
from hourpass.server.console.rendering import show_count

COUNTED = 200
"""So many events that a webhook did not get are counted."""

LONGEST_PART = 12
"""Letters of a part of a URL's path that a title shows whole."""

TICK = "event:"
"""What the names of the ticks in the form begin with."""


def _show_all(visit: Visit) -> PageAnswer:
    found = visit.call(LIST_WEBHOOKS, shapes.Nothing()).data
    failed = {each.webhook_id: _failed(each, _deliveries(visit, each)) for each in found if each.failing_since}
    return Shown("webhooks.html", {"webhooks": found, "failed": failed, **_words()})


def _words() -> dict[str, Any]:
    words = {"outcomes": OUTCOMES, "why_disabled": WHY_DISABLED, "hint": hint}
    return {**words, "called": called, "place_of": _place}


def called(webhook: shapes.ShownWebhook) -> str:
    """What people call a webhook: its description, or else where it leads to."""
    return webhook.description or _place(webhook.url)


def _place(url: str) -> str:
    """The host and the path of a URL, as far as the person sees it. A long part of the path may be a secret."""
    split = urlsplit(url)
    path = "/".join(part if len(part) <= LONGEST_PART else f"{part[:4]}..." for part in split.path.split("/"))
    return f"{split.netloc}{path}".rstrip("/")


def _deliveries(visit: Visit, webhook: shapes.ShownWebhook) -> list[shapes.ShownDelivery]:
    return visit.call(LIST_DELIVERIES, shapes.ListDeliveries(webhook_id=webhook.webhook_id)).data


def _fails(webhook: shapes.ShownWebhook) -> bool:
    return webhook.failing_since is not None or webhook.disabled_why in {"failing", "gone"}


def _failed(
    webhook: shapes.ShownWebhook, deliveries: Sequence[shapes.ShownDelivery]
) -> tuple[shapes.ShownDelivery, int | None] | None:
    """The last attempt of a webhook that fails or was given up, and by when the next one comes, if one does.

    None if it does not fail, or no attempt is known.
    """
    last = next((each for each in deliveries if each.event != TEST), None)
    if not _fails(webhook) or last is None or last.result == "delivered":
        return None
    if webhook.failing_since is None or webhook.disabled_at is not None:
        return last, None
    return last, tried_again_by(read_moment(webhook.failing_since), read_moment(last.at) + last.took)


def _named(visit: Visit) -> shapes.WebhookNamed:
    return shapes.WebhookNamed(webhook_id=visit.path["webhook_id"])


def _show(visit: Visit) -> PageAnswer:
    webhook = visit.call(GET_WEBHOOK, _named(visit))
    deliveries = _deliveries(visit, webhook)
    tested = next((each for each in deliveries if each.event == TEST), None) if "tested" in visit.query else None
    values = {"webhook": webhook, "deliveries": deliveries, "tested": tested, "failed": _failed(webhook, deliveries)}
    return Shown("webhook.html", {**values, **_words()})


def _show_new(visit: Visit) -> PageAnswer:
    return Shown("webhook_form.html", _form(None, Fields()))


def _form(webhook: shapes.ShownWebhook | None, values: Mapping[str, str]) -> dict[str, Any]:
    form = {"webhook": webhook, "values": values, "problems": Fields(), "published": PUBLISHED, "tick": TICK}
    return {**form, **_words()}


def _asked(visit: Visit) -> dict[str, Any]:
    return {
        "url": visit.form.get("url", "").strip(),
        "description": visit.form.get("description", "").strip(),
        "events": [name.removeprefix(TICK) for name in visit.form if name.startswith(TICK)],
    }


def _tried(visit: Visit, webhook: shapes.ShownWebhook | None, act: Callable[[], PageAnswer]) -> PageAnswer:
    """Do what the form asks, or show it again with what is wrong beside each field."""
    try:
        return act()
    except InvalidRequest as error:
        problems = dict.fromkeys(error.names or ("",), error.detail)
    except PrivateAddress as error:
        problems = {"url": error.detail}
    except ChangedMeanwhile:
        problems = {"": "Somebody else changed the webhook meanwhile. Load the page again"}
    return Shown("webhook_form.html", {**_form(webhook, visit.typed()), "problems": Fields(problems)}, 422)


def _create(visit: Visit) -> PageAnswer:
    def act() -> PageAnswer:
        made = visit.call_once(CREATE_WEBHOOK, msgspec.convert(_asked(visit), shapes.CreateWebhook))
        return _secret(f"{called(made)} is ready", made)

    return _tried(visit, None, act)


def _secret(title: str, made: shapes.CreatedWebhook) -> Shown:
    return Shown("webhook_secret.html", {"title": title, "webhook": made, "secret": made.secret})


def _show_edit(visit: Visit) -> PageAnswer:
    webhook = visit.call(GET_WEBHOOK, _named(visit))
    ticks = dict.fromkeys((f"{TICK}{name}" for name in webhook.events), "yes")
    tag = webhook.etag()
    values = Fields({"url": webhook.url, "description": webhook.description, "tag": tag, **ticks})
    return Shown("webhook_form.html", _form(webhook, values))


def _edit(visit: Visit) -> PageAnswer:
    webhook = visit.call(GET_WEBHOOK, _named(visit))

    def act() -> PageAnswer:
        tag = visit.form.get("tag", "")
        asked = {**_asked(visit), "webhook_id": webhook.webhook_id, "if_match": tag}
        update = msgspec.convert(asked, shapes.UpdateWebhook)
        visit.call_if_meant(UPDATE_WEBHOOK, update, lambda: _narrowing(visit, webhook, asked))
        return GoTo(f"/webhooks/{webhook.webhook_id}", "changed")

    return _tried(visit, webhook, act)


def _narrowing(visit: Visit, webhook: shapes.ShownWebhook, asked: Mapping[str, Any]) -> Confirmation | None:
    """Ask whether an edit is meant by which a receiver gets less, None if none does."""
    taken = []
    if asked["url"] != webhook.url:
        taken.append(f"{webhook.url} gets nothing more.")
    if fewer_events(webhook.events, asked["events"]):
        lost = [name for name in webhook.events or PUBLISHED if name not in asked["events"]]
        taken.append(f"Its receiver gets {show_count(len(lost), 'kind')} of events less: {', '.join(lost)}.")
    if not taken:
        return None
    carried = {name: text for name, text in visit.form.items() if name not in {"form", "confirm"}}
    asked_for = _about(webhook, "edit", "Change the webhook", "This takes something away from the receiver", taken)
    return asked_for._replace(carried=carried)


def _switch(visit: Visit, *, disabled: bool) -> PageAnswer:
    webhook_id = visit.path["webhook_id"]
    visit.call(UPDATE_WEBHOOK, shapes.UpdateWebhook(webhook_id=webhook_id, disabled=disabled))
    return GoTo(f"/webhooks/{webhook_id}", "disabled" if disabled else "enabled")


def _show_disable(visit: Visit) -> PageAnswer:
    return _disabling(visit).page()


def _disabling(visit: Visit) -> Confirmation:
    webhook = visit.call(GET_WEBHOOK, _named(visit))
    effects = [
        "Its receiver gets nothing until somebody enables it.",
        _missed(visit, webhook, "wait until then"),
    ]
    return _about(webhook, "disable", "Disable the webhook", "Events do not go out", effects)


def _disable(visit: Visit) -> PageAnswer:
    visit.require_meant(_disabling(visit))
    return _switch(visit, disabled=True)


def _enable(visit: Visit) -> PageAnswer:
    visit.require_meant(None)
    return _switch(visit, disabled=False)


def _test(visit: Visit) -> PageAnswer:
    """Send a test event. How it went is among the deliveries, and a page that is loaded again sends no other."""
    tried = visit.call(TRY_WEBHOOK, _named(visit))
    return GoTo(f"/webhooks/{tried.webhook_id}?tested=1")


def _show_rotate(visit: Visit) -> PageAnswer:
    webhook = visit.call(GET_WEBHOOK, _named(visit))
    effects = [
        "The new secret signs at once.",
        "The old one signs along for 24 hours. Give the new one to the receiver until then.",
    ]
    if webhook.old_secrets_until:
        effects.append("The secret before the old one keeps the end that it has.")
    asked = _about(webhook, "rotate-secret", "Make the next secret", "Every event gets two signatures", effects)
    return Shown("step.html", {**asked._asdict(), "once": True, "problem": ""})


def _rotate(visit: Visit) -> PageAnswer:
    made = visit.call_once(ROTATE_WEBHOOK_SECRET, _named(visit))
    return _secret(f"The next secret of {called(made)}", made)


def _show_delete(visit: Visit) -> PageAnswer:
    return _deleting(visit).page()


def _deleting(visit: Visit) -> Confirmation:
    webhook = visit.call(GET_WEBHOOK, _named(visit))
    effects = [
        _missed(visit, webhook, "are lost to it"),
        "What is known of its deliveries is deleted, and its secret signs nothing more.",
    ]
    return _about(webhook, "delete", "Delete the webhook", "It gets nothing more", effects)


def _missed(visit: Visit, webhook: shapes.ShownWebhook, become: str) -> str:
    """How many events it did not get yet, and what becomes of them."""
    events = visit.call(LIST_EVENTS, shapes.ListEvents(after=webhook.delivered_up_to, limit=COUNTED)).data
    missed = sum(takes(tuple(webhook.events), event.type) for event in events)
    if missed == 0:
        return "It got every event until now."
    least = "At least " if len(events) == COUNTED else ""
    become = become.replace("are ", "is ").replace("wait ", "waits ") if missed == 1 else become
    return f"{least}{show_count(missed, 'event')} that it did not get yet {become}."


def _delete(visit: Visit) -> PageAnswer:
    visit.require_meant(_deleting(visit))
    visit.call(DELETE_WEBHOOK, _named(visit))
    return GoTo("/webhooks", "deleted")


def _about(webhook: shapes.ShownWebhook, act: str, verb: str, consequence: str, effects: Sequence[str]) -> Confirmation:
    """Ask whether something is meant that a webhook's receiver notices."""
    name, path = called(webhook), f"/webhooks/{webhook.webhook_id}"
    crumbs = [("Webhooks", "/webhooks"), (name, path)]
    return Confirmation(f"{verb}: {name}", crumbs, consequence, effects, name, verb, action=f"{path}/{act}", back=path)


SECTION = Section(
    "Webhooks",
    "webhooks",
    (
        View("/webhooks", LIST_WEBHOOKS, _show_all),
        View("/webhooks/new", CREATE_WEBHOOK, _show_new, _create),
        View("/webhooks/{webhook_id}", GET_WEBHOOK, _show),
        View("/webhooks/{webhook_id}/edit", UPDATE_WEBHOOK, _show_edit, _edit),
        View("/webhooks/{webhook_id}/disable", UPDATE_WEBHOOK, _show_disable, _disable),
        View("/webhooks/{webhook_id}/enable", UPDATE_WEBHOOK, None, _enable),
        View("/webhooks/{webhook_id}/test", TRY_WEBHOOK, None, _test),
        View("/webhooks/{webhook_id}/rotate-secret", ROTATE_WEBHOOK_SECRET, _show_rotate, _rotate),
        View("/webhooks/{webhook_id}/delete", DELETE_WEBHOOK, _show_delete, _delete),
    ),
    {
        "changed": "The webhook is changed.",
        "disabled": "The webhook is disabled. It gets nothing until you enable it.",
        "enabled": "The webhook is enabled. It goes on with the events that it missed.",
        "deleted": "The webhook is deleted.",
    },
)
