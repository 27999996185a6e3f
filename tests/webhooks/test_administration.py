"""Webhooks are made, found, changed, rotated and deleted, and each change is a line of the trail."""

import base64
import itertools
import time

import pytest
from standardwebhooks import Webhook as PublicWebhook
from tests.webhooks.conftest import ACTOR, NOW

from hourpass.core.errors import ConfigurationError, InvalidRequest, NotFound
from hourpass.core.policy import DAY
from hourpass.core.webhook import MOST_WEBHOOKS, signature_headers
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import PEPPER, add_secret, reseal
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.webhooks.destination import read_destination
from hourpass.server.webhooks.webhooks import (
    create_webhook,
    delete_webhook,
    disable_failed,
    get_webhook,
    recent_deliveries,
    rotate_webhook_secret,
    secrets_of,
    server_secret,
    update_webhook,
)

URL = "https://hooks.example.com/services/T0/SECRET"


def to(url=URL):
    return read_destination(url, allow_private=False)


@pytest.fixture
def create(store, master, random):
    return lambda **members: create_webhook(store, master, to(), NOW, random, actor=ACTOR, **members)


def trail(store):
    return [(each.event, each.detail) for each in store.audit_after(0, 99)]


def verifies(secret, headers, body):
    return PublicWebhook(secret).verify(body, headers, json_parse=False) is None


def test_a_webhook_begins_with_the_events_after_it(store, create):
    create()
    webhook = create(events=["key.revoked", "key.created", "key.created"], description="ops – pager").webhook

    assert webhook == get_webhook(store, webhook.webhook_id)
    assert webhook[1:5] == (URL, ("key.created", "key.revoked"), "ops – pager", NOW)
    assert webhook.delivered == 1 == len(trail(store)) - 1
    assert (webhook.failing_since, webhook.disabled_at) == (None, None)


def test_the_trail_has_only_the_origin_of_a_url(store, create):
    """The rest of it may be what lets somebody in at the receiver."""
    webhook_id = create().webhook.webhook_id
    update_webhook(store, webhook_id, NOW, actor=ACTOR, destination=to("https://hooks.example.com/services/OTHER"))
    update_webhook(store, webhook_id, NOW, actor=ACTOR, disabled=True)
    delete_webhook(store, webhook_id, NOW, actor=ACTOR)

    assert "services" not in str(trail(store))
    assert str(trail(store)).count("https://hooks.example.com") == 5


def test_the_same_random_bytes_make_the_same_webhook_with_the_same_secret(store, master):
    """The second request with an idempotency key is answered with what the first one made."""

    def again(first):
        numbers = itertools.count(first)
        return create_webhook(store, master, to(), NOW, lambda size: next(numbers).to_bytes(size, "big"), actor=ACTOR)

    first = again(1)
    store.delete_webhook(first.webhook.webhook_id)
    second, third = again(1), again(2)

    assert (second.webhook.webhook_id, second.secret) == (first.webhook.webhook_id, first.secret)
    assert third.secret != first.secret


def test_the_secret_verifies_what_the_server_signs_and_is_nowhere_in_the_database(tmp_path, master, random):
    path = tmp_path / "hourpass.db"
    store = SqliteStore(path)
    store.migrate(NOW)
    store.begin(wait=True)
    now = int(time.time() * 1000)
    made = create_webhook(store, master, to(), now, random, actor=ACTOR)
    store.commit()

    headers = signature_headers(secrets_of(server_secret(store, master), made.webhook, now), "evt_1", now, b"{}")
    assert verifies(made.secret, headers, b"{}")
    assert len(made.secret) == len("whsec_") + 44
    store.close()
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    secret = secrets_of_text(made.secret)
    assert secret not in raw
    assert made.secret.encode() not in raw
    assert secret.hex().encode() not in raw


def secrets_of_text(text):
    return base64.b64decode(text.removeprefix("whsec_"))


def test_another_master_key_changes_no_secret(store, master, random):
    """`hourpass master-key rotate` seals the server's secret for webhooks again, with all others."""
    add_secret(store, master, PEPPER, "1", bytes(32), NOW)
    made = create_webhook(store, master, to(), NOW, random, actor=ACTOR)
    new = MasterKey(bytes([1]) * 32)

    reseal(store, MasterKey(bytes([1]) * 32, bytes(32)), NOW, actor=ACTOR)

    assert secrets_of(server_secret(store, new), made.webhook, NOW) == [secrets_of_text(made.secret)]
    with pytest.raises(ConfigurationError):
        server_secret(store, master)


def test_after_a_rotation_both_secrets_verify_for_a_day(store, master, create, random):
    old = create()
    new = rotate_webhook_secret(store, master, old.webhook.webhook_id, NOW, random, actor=ACTOR)

    assert new.secret != old.secret
    own = server_secret(store, master)
    webhook = get_webhook(store, old.webhook.webhook_id)
    during = secrets_of(own, webhook, NOW + DAY - 1)
    assert during == [secrets_of_text(new.secret), secrets_of_text(old.secret)]
    assert secrets_of(own, webhook, NOW + DAY) == during[:1]
    assert trail(store)[-1] == ("webhook.rotated", {"webhook_id": webhook.webhook_id, "signs_until": NOW + DAY})


def test_an_update_changes_what_is_given_and_notes_what_differs(store, create):
    webhook_id = create(description="a").webhook.webhook_id
    changed = update_webhook(store, webhook_id, NOW + 1, actor=ACTOR, events=["key.leaked"], description="a")

    assert changed == get_webhook(store, webhook_id)
    assert (changed.events, changed.revision, changed.url) == (("key.leaked",), 1, URL)
    assert trail(store)[-1][1] == {"webhook_id": webhook_id, "old": {"events": []}, "new": {"events": ["key.leaked"]}}


def test_an_update_that_changes_nothing_is_not_noted(store, create):
    webhook = create().webhook
    assert update_webhook(store, webhook.webhook_id, NOW, actor=ACTOR, disabled=False, description="") == webhook
    assert len(trail(store)) == 1


def test_a_webhook_is_disabled_and_goes_on_where_it_was(store, create):
    webhook_id = create().webhook.webhook_id
    store.update_webhook(get_webhook(store, webhook_id)._replace(failing_since=NOW))
    disabled = update_webhook(store, webhook_id, NOW + 5, actor=ACTOR, disabled=True)
    enabled = update_webhook(store, webhook_id, NOW + 6, actor=ACTOR, disabled=False)

    assert (disabled.disabled_at, disabled.disabled_why, disabled.failing_since) == (NOW + 5, "operator", NOW)
    assert (enabled.disabled_at, enabled.disabled_why, enabled.failing_since) == (None, None, None)
    assert enabled.delivered == disabled.delivered == 0
    assert [event for event, _ in trail(store)] == ["webhook.created", "webhook.disabled", "webhook.enabled"]


def test_a_webhook_that_is_given_up_is_disabled_unless_somebody_changed_it(store, create):
    webhook = create().webhook
    update_webhook(store, webhook.webhook_id, NOW, actor=ACTOR, destination=to("https://hooks.example.com/new"))

    assert disable_failed(store, webhook, "failing", NOW) is False
    assert disable_failed(store, get_webhook(store, webhook.webhook_id), "failing", NOW + 1) is True
    assert disable_failed(store, get_webhook(store, webhook.webhook_id), "failing", NOW + 1) is False
    assert get_webhook(store, webhook.webhook_id).disabled_why == "failing"
    assert trail(store)[-1] == (
        "webhook.disabled",
        {"webhook_id": webhook.webhook_id, "url": "https://hooks.example.com", "why": "failing"},
    )


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"events": ["key.created", "key_created"]}, "events"),
        ({"events": ["webhook.test"]}, "events"),
        ({"description": "two\nlines"}, "description"),
        ({"description": "x" * 201}, "description"),
        ({"description": "\x1b[31m"}, "description"),
    ],
)
def test_a_member_that_is_wrong_is_named(store, create, members, name):
    with pytest.raises(InvalidRequest) as error:
        create(**members)
    assert error.value.name == name
    with pytest.raises(InvalidRequest):
        update_webhook(store, create().webhook.webhook_id, NOW, actor=ACTOR, **members)


def test_there_are_a_hundred_webhooks_at_most(store, create):
    for _ in range(MOST_WEBHOOKS):
        create()
    with pytest.raises(InvalidRequest):
        create()


def test_an_unknown_webhook_is_not_found(store, master, random):
    for ask in (
        lambda: get_webhook(store, "wh_0"),
        lambda: update_webhook(store, "wh_0", NOW, actor=ACTOR),
        lambda: delete_webhook(store, "wh_0", NOW, actor=ACTOR),
        lambda: rotate_webhook_secret(store, master, "wh_0", NOW, random, actor=ACTOR),
        lambda: recent_deliveries(store, "wh_0", NOW),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_new_secret_is_not_in_a_repr(create):
    made = create()
    assert made.secret not in repr(made)
    assert made.secret not in str(made.webhook)
