"""Administration of webhooks: to make, find, change, rotate and delete them.

Each function works inside one transaction of a store. What an operator may subscribe to is in `core/published.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hourpass.core import webhook_events
from hourpass.core.actor import SERVER, Actor
from hourpass.core.audit import Event
from hourpass.core.errors import InvalidRequest, NotFound
from hourpass.core.key_members import require_no_key
from hourpass.core.published import unpublished
from hourpass.core.webhook import (
    DELIVERIES_KEPT,
    MOST_DELIVERIES,
    MOST_WEBHOOKS,
    SEED_BYTES,
    Disabled,
    Seed,
    Webhook,
    rotated_seeds,
    secret_text,
    signing_seeds,
    webhook_secret,
)
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import WEBHOOK, lasting_secret, open_secrets_of
from hourpass.server.store import Store
from hourpass.server.store.webhooks import WebhookDelivery
from hourpass.server.webhooks.destination import Destination, read_destination

LONGEST_DESCRIPTION = 200


class NewSecret(NamedTuple):
    """A webhook with its newest secret, which its owner sees only this once. The repr does not show it."""

    webhook: Webhook
    secret: str

    def __repr__(self) -> str:
        """Without the secret."""
        return f"NewSecret({self.webhook.webhook_id!r})"


def create_webhook(
    store: Store,
    master: MasterKey,
    destination: Destination,
    now: int,
    random: Callable[[int], bytes],
    *,
    actor: Actor,
    events: Sequence[str] = (),
    description: str = "",
) -> NewSecret:
    """Make a webhook. It gets the events that happen from now on. No `events` means every published one.

    The same random bytes make the same webhook with the same secret.

    Raises:
        InvalidRequest: if an event is not published, the description is not one line, or there are too many webhooks.
    """
    if len(store.webhooks()) >= MOST_WEBHOOKS:
        raise InvalidRequest(f"there are {MOST_WEBHOOKS} webhooks already")
    webhook = Webhook(
        webhook_id=new_webhook_id(random),
        url=destination.url,
        events=_events(events),
        description=_description(description),
        created_at=now,
        seeds=(Seed(random(SEED_BYTES)),),
        delivered=store.control().last_audit,
    )
    store.add_webhook(webhook)
    store.append_audit(now, [webhook_events.WebhookCreated(webhook.webhook_id, destination.origin, actor)])
    return NewSecret(webhook, _newest_secret(store, master, webhook, now, random))


ID_LENGTH = len("wh_") + 16


def new_webhook_id(random: Callable[[int], bytes]) -> str:
    """The id of a new webhook. The same random bytes make the same one."""
    return f"wh_{random(8).hex()}"


def get_webhook(store: Store, webhook_id: str) -> Webhook:
    """One webhook, by its id.

    Raises:
        NotFound: if no webhook has it.
    """
    webhook = store.webhook(webhook_id)
    if webhook is None:
        named = f"the id {webhook_id!r}" if len(webhook_id) <= ID_LENGTH else "that id"  # a longer text may be a key
        raise NotFound(f"no webhook has {named}")
    return webhook


def update_webhook(
    store: Store,
    webhook_id: str,
    now: int,
    *,
    actor: Actor,
    destination: Destination | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    disabled: bool | None = None,
) -> Webhook:
    """Change members of a webhook. None leaves one as it is. One that is enabled goes on with what it missed.

    Raises:
        NotFound: if no webhook has this id; InvalidRequest: as `create_webhook`.
    """
    old = new = get_webhook(store, webhook_id)
    if destination is not None:
        new = new._replace(url=destination.url)
    if events is not None:
        new = new._replace(events=_events(events))
    if description is not None:
        new = new._replace(description=_description(description))
    if disabled is not None and disabled != (old.disabled_at is not None):
        new = new._replace(disabled_at=now if disabled else None, disabled_why="operator" if disabled else None)
    if new == old:
        return old
    if new.url != old.url or (old.disabled_at is not None and new.disabled_at is None):
        new = new._replace(failing_since=None)
    store.update_webhook(new)
    store.append_audit(now, list(_changes(old, new, actor)))
    return new._replace(revision=old.revision + 1)


def disable_failed(store: Store, webhook: Webhook, why: Disabled, now: int) -> bool:
    """Disable a webhook whose endpoint failed. False if it was changed or deleted meanwhile."""
    found = store.webhook(webhook.webhook_id)
    if found is None or found.revision != webhook.revision or found.disabled_at is not None:
        return False
    store.update_webhook(found._replace(disabled_at=now, disabled_why=why))
    store.append_audit(now, [webhook_events.WebhookDisabled(found.webhook_id, shown_url(found.url), why, SERVER)])
    return True


def delete_webhook(store: Store, webhook_id: str, now: int, *, actor: Actor) -> None:
    """Delete a webhook, and what is known of its deliveries.

    Raises:
        NotFound: if no webhook has this id.
    """
    webhook = get_webhook(store, webhook_id)
    store.delete_webhook(webhook_id)
    store.append_audit(now, [webhook_events.WebhookDeleted(webhook_id, shown_url(webhook.url), actor)])


def rotate_webhook_secret(
    store: Store, master: MasterKey, webhook_id: str, now: int, random: Callable[[int], bytes], *, actor: Actor
) -> NewSecret:
    """Make the next secret of a webhook. It signs at once, and the one from before signs along for a day.

    Raises:
        NotFound: if no webhook has this id.
    """
    old = get_webhook(store, webhook_id)
    new = old._replace(seeds=rotated_seeds(old.seeds, random(SEED_BYTES), now))
    store.update_webhook(new)
    store.append_audit(now, [webhook_events.WebhookRotated(webhook_id, new.seeds[1].until or now, actor)])
    return NewSecret(new._replace(revision=old.revision + 1), _newest_secret(store, master, new, now, random))


def recent_deliveries(store: Store, webhook_id: str, now: int, limit: int = MOST_DELIVERIES) -> list[WebhookDelivery]:
    """How the attempts of the last day went, newest first.

    Raises:
        NotFound: if no webhook has this id.
    """
    get_webhook(store, webhook_id)
    return store.deliveries(webhook_id, now - DELIVERIES_KEPT, limit)


def secrets_of(server_secret: bytes, webhook: Webhook, now: int) -> list[bytes]:
    """The secrets that sign for a webhook at an instant, the newest first."""
    return [webhook_secret(server_secret, webhook.webhook_id, seed) for seed in signing_seeds(webhook.seeds, now)]


def server_secret(store: Store, master: MasterKey) -> bytes:
    """The server's secret that the secrets of all webhooks are made with. It is never replaced.

    After a leak the secrets of the webhooks are rotated instead: their seeds are then not what leaked.

    Raises:
        ConfigurationError: if the master key did not seal it.
        NotFound: if no webhook was ever made.
    """
    found = open_secrets_of(store, master, WEBHOOK)
    if not found:
        raise NotFound("no webhook was ever made")
    return found[-1].secret


def shown_url(url: str) -> str:
    """The origin of a webhook's URL, as it is kept."""
    return read_destination(url, allow_private=True).origin


def _newest_secret(store: Store, master: MasterKey, webhook: Webhook, now: int, random: Callable[[int], bytes]) -> str:
    own = lasting_secret(store, master, WEBHOOK, now, random)
    return secret_text(secrets_of(own, webhook, now)[0])


def _changes(old: Webhook, new: Webhook, actor: Actor) -> Iterable[Event]:
    before, after = _shown(old), _shown(new)
    changed = [name for name in before if before[name] != after[name]]
    if new.url != old.url and "url" not in changed:
        changed.append("url")
    if changed:
        olds, news = ({name: facts[name] for name in changed} for facts in (before, after))
        yield webhook_events.WebhookUpdated(old.webhook_id, olds, news, actor)
    if new.disabled_at is not None and old.disabled_at is None:
        yield webhook_events.WebhookDisabled(new.webhook_id, shown_url(new.url), "operator", actor)
    if new.disabled_at is None and old.disabled_at is not None:
        yield webhook_events.WebhookEnabled(new.webhook_id, actor)


def _shown(webhook: Webhook) -> dict[str, object]:
    return {"url": shown_url(webhook.url), "events": list(webhook.events), "description": webhook.description}


def _events(events: Sequence[str]) -> tuple[str, ...]:
    require_no_key("events", events)
    if wrong := unpublished(tuple(events)):
        raise InvalidRequest(f"not a published event: {wrong[0][:60]!r}", name="events")
    return tuple(sorted(set(events)))


def _description(text: str) -> str:
    require_no_key("description", text)
    if len(text) > LONGEST_DESCRIPTION or not text.isprintable():
        raise InvalidRequest(
            f"a description is one line of at most {LONGEST_DESCRIPTION} characters", name="description"
        )
    return text
