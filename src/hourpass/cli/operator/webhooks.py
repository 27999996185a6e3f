"""`hourpass webhooks`: where events are sent, and how that goes."""

from collections.abc import Callable
from typing import Any

import click
import msgspec
from msgspec import UNSET

from hourpass.admin import operations, shapes
from hourpass.cli.operator.administration import administration
from hourpass.cli.operator.database import database_options
from hourpass.cli.terminal import confirm, json_option, print_facts, print_json, print_table, say
from hourpass.core.published import PUBLISHED
from hourpass.settings_file import did_you_mean


def _events(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[str]:
    for event in value:
        if event not in PUBLISHED:
            raise click.BadParameter(f"{event!r} is not a published event{did_you_mean(event, PUBLISHED)}")
    return list(value)


webhook_argument = click.argument("webhook_id", metavar="ID")


def events_option(help_text: str) -> Callable[..., Any]:
    """The option for the events, which may be given several times."""
    return click.option("--event", "events", multiple=True, metavar="EVENT", callback=_events, help=help_text)


@click.group()
def webhooks() -> None:
    """Send events to URLs: list, create, update, test, rotate and delete webhooks."""


@webhooks.command("list")
@database_options
@json_option
def list_webhooks(flags: dict[str, object], as_json: bool) -> None:
    """List the webhooks, oldest first."""
    with administration(flags) as desk:
        found = desk.call(operations.LIST_WEBHOOKS, shapes.Nothing()).data
    if as_json:
        print_json([msgspec.to_builtins(webhook) for webhook in found])
        return
    columns = ("webhook_id", "url", "events", "state", "delivered_up_to", "description")
    rows = ([_state(each) if name == "state" else _told(each, name) for name in columns] for each in found)
    print_table(columns, rows)


def _state(webhook: shapes.ShownWebhook) -> str:
    if webhook.disabled_at:
        return f"disabled ({webhook.disabled_why})"
    return f"failing since {webhook.failing_since}" if webhook.failing_since else "ok"


def _told(answer: shapes.AdminAnswer, name: str) -> object:
    """A member for people: no events are all of them, and a span has its unit."""
    value = getattr(answer, name)
    match name:
        case "events":
            return value or "all"
        case "took":
            return f"{value} ms"
        case _:
            return value


@webhooks.command()
@click.argument("url")
@events_option("an event to send; may be given several times, all published events by default")
@click.option("--description", default="", help="what it is for, in words")
@database_options
@json_option
def create(flags: dict[str, object], url: str, events: list[str], description: str, as_json: bool) -> None:
    """Send the events that happen from now on to an https URL. The signing secret is shown only this once."""
    with administration(flags, changes=True) as desk:
        asked = shapes.CreateWebhook(url=url, events=events, description=description)
        made = desk.call(operations.CREATE_WEBHOOK, asked)
    say(desk.name)
    _show_secret(made, as_json=as_json)
    say("Give the secret to the receiver. It is shown only this once.")


@webhooks.command()
@webhook_argument
@click.option("--url", help="the new URL")
@events_option("the events to send from now on; may be given several times")
@click.option("--all-events", is_flag=True, help="send all published events from now on")
@click.option("--description", help="what it is for, in words")
@click.option("--disable/--enable", "disabled", default=None, help="send nothing more, or go on with what it missed")
@database_options
@json_option
def update(
    flags: dict[str, object],
    webhook_id: str,
    url: str | None,
    events: list[str],
    all_events: bool,
    description: str | None,
    disabled: bool | None,
    as_json: bool,
) -> None:
    """Change a webhook. One that is enabled again goes on with the events that it missed."""
    if all_events and events:
        raise click.UsageError("give --event or --all-events")
    if not (events or all_events) and (url, description, disabled) == (None, None, None):
        raise click.UsageError("say what to change: see hourpass webhooks update --help")
    asked = shapes.UpdateWebhook(
        webhook_id=webhook_id,
        url=UNSET if url is None else url,
        events=events if events or all_events else UNSET,
        description=UNSET if description is None else description,
        disabled=UNSET if disabled is None else disabled,
    )
    with administration(flags, changes=True) as desk:
        old = desk.call(operations.GET_WEBHOOK, shapes.WebhookNamed(webhook_id=webhook_id))
        asked.if_match = old.etag()
        new = desk.call(operations.UPDATE_WEBHOOK, asked)
    say(desk.name)
    _show(new, as_json=as_json)


@webhooks.command()
@webhook_argument
@click.option("--yes", is_flag=True, help="do not ask; needed if nobody can answer")
@database_options
@json_option
def delete(flags: dict[str, object], webhook_id: str, yes: bool, as_json: bool) -> None:
    """Delete a webhook. What it did not get yet is lost to it."""
    if not yes:
        confirm(f"Delete {webhook_id}? What it did not get yet is lost to it.")
    with administration(flags, changes=True) as desk:
        gone = desk.call(operations.DELETE_WEBHOOK, shapes.WebhookNamed(webhook_id=webhook_id))
    say(desk.name)
    if as_json:
        print_json(msgspec.to_builtins(gone))
    else:
        say(f"{gone.webhook_id} is deleted.")


@webhooks.command()
@webhook_argument
@database_options
@json_option
def test(flags: dict[str, object], webhook_id: str, as_json: bool) -> None:
    """Send a test event at once, from here or from the server of --server. Exits with 1 if it did not arrive."""
    with administration(flags, changes=True) as desk:
        tried = desk.call(operations.TRY_WEBHOOK, shapes.WebhookNamed(webhook_id=webhook_id))
    _show(tried, as_json=as_json)
    if tried.result != "delivered":
        raise SystemExit(1)


@webhooks.command("rotate-secret")
@webhook_argument
@database_options
@json_option
def rotate_secret(flags: dict[str, object], webhook_id: str, as_json: bool) -> None:
    """Make the next signing secret, shown only this once. The one before it signs along for a day."""
    with administration(flags, changes=True) as desk:
        made = desk.call(operations.ROTATE_WEBHOOK_SECRET, shapes.WebhookNamed(webhook_id=webhook_id))
    say(desk.name)
    _show_secret(made, as_json=as_json)
    say(f"Give the secret to the receiver by {made.old_secrets_until}. It is shown only this once.")


@webhooks.command()
@webhook_argument
@click.option("--last", type=click.IntRange(1, 200), default=50, show_default=True, help="how many attempts")
@database_options
@json_option
def deliveries(flags: dict[str, object], webhook_id: str, last: int, as_json: bool) -> None:
    """Show how the attempts of the last day went, newest first."""
    with administration(flags) as desk:
        found = desk.call(operations.LIST_DELIVERIES, shapes.ListDeliveries(webhook_id=webhook_id, limit=last)).data
    if as_json:
        print_json([msgspec.to_builtins(delivery) for delivery in found])
        return
    columns = ("at", "number", "event", "result", "status", "took")
    print_table(columns, [[_told(delivery, name) for name in columns] for delivery in found])


def _show(answer: shapes.AdminAnswer, first: tuple[str, ...] = (), *, as_json: bool) -> None:
    """All members of an answer, some of them first."""
    names = dict.fromkeys([*first, *answer.__struct_fields__])
    if as_json:
        print_json({name: getattr(answer, name) for name in names})
    else:
        print_facts((name, _told(answer, name)) for name in names)


def _show_secret(made: shapes.CreatedWebhook, *, as_json: bool) -> None:
    _show(made, ("webhook_id", "secret"), as_json=as_json)
