"""Webhooks and their deliveries in every kind of database."""

from tests.contract.conftest import NOW

from hourpass.core.grant_events import GrantsClosed
from hourpass.core.webhook import Seed, Webhook
from hourpass.server.store import transaction
from hourpass.server.store.webhooks import WebhookDelivery, WebhookProgress

WEBHOOK = Webhook(
    "wh_1",
    "https://example.com/a?b=c",
    ("key.created", "key.revoked"),
    "a – b",
    NOW,
    (Seed(b"\x00\xff"), Seed(b"s", 7)),
    3,
)


def delivery(at, number=1, webhook_id="wh_1"):
    return WebhookDelivery(webhook_id, NOW + at, number, "key.created", "status", 503, 12)


def test_a_webhook_is_kept_as_it_is_and_all_are_listed_oldest_first(store):
    later = Webhook("wh_0", "https://example.com/", (), "", NOW + 1, (Seed(b"x"),), 0, 4, NOW, NOW + 2, "failing")
    store.add_webhook(later)
    store.add_webhook(WEBHOOK)

    assert store.webhooks() == [WEBHOOK, later]
    assert store.webhook("wh_0") == later
    assert store.webhook("wh_2") is None


def test_an_update_changes_what_may_change_and_its_revision_grows(store):
    store.add_webhook(WEBHOOK)
    new = WEBHOOK._replace(url="https://b/", events=(), description="", seeds=(Seed(b"n"),), failing_since=1,
                           disabled_at=2, disabled_why="gone", delivered=99, created_at=5)  # fmt: skip
    store.update_webhook(new)

    assert store.webhook("wh_1") == new._replace(revision=1, delivered=3, created_at=NOW)


def test_progress_never_goes_back(store):
    store.add_webhook(WEBHOOK)
    store.save_progress(WebhookProgress("wh_1", 0, 9, NOW))
    store.save_progress(WebhookProgress("wh_1", 0, 8, None))

    assert store.webhook("wh_1")[6:9] == (9, 0, NOW)


def test_progress_of_a_webhook_that_was_changed_meanwhile_is_only_how_far_it_is(store):
    """What failed is another URL, say."""
    store.add_webhook(WEBHOOK)
    store.update_webhook(WEBHOOK)
    store.save_progress(WebhookProgress("wh_1", 0, 9, NOW))

    assert store.webhook("wh_1")[6:9] == (9, 1, None)


def test_the_newest_deliveries_since_an_instant_are_listed_newest_first(store):
    each = [delivery(at) for at in range(5)]
    store.add_deliveries([*each, delivery(9, webhook_id="wh_2"), each[0]])

    assert store.deliveries("wh_1", NOW + 1, 2) == [each[4], each[3]]
    assert store.deliveries("wh_1", NOW + 1, 9) == [*reversed(each[1:])]


def test_deliveries_are_forgotten_by_age_and_by_number(store):
    each = [delivery(at) for at in range(10)]
    store.add_deliveries([*each, delivery(0, webhook_id="wh_2")])

    store.prune_deliveries("wh_1", NOW + 2, 100)
    assert store.deliveries("wh_1", 0, 99) == [*reversed(each[2:])]
    store.prune_deliveries("wh_1", NOW + 2, 3)
    assert store.deliveries("wh_1", 0, 99) == [*reversed(each[7:])]
    assert len(store.deliveries("wh_2", 0, 99)) == 1


def test_a_deleted_webhook_takes_its_deliveries_along(store):
    store.add_webhook(WEBHOOK)
    store.add_deliveries([delivery(0)])

    assert store.delete_webhook("wh_1") is True
    assert store.delete_webhook("wh_1") is False
    assert (store.webhooks(), store.deliveries("wh_1", 0, 9)) == ([], [])


def test_every_process_sees_the_newest_number_of_the_trail_where_it_polls(shared):
    ours, other = shared.connect(), shared.connect()
    assert ours.look().last_audit == 0
    with transaction(other):
        other.append_audit(NOW, [GrantsClosed("0aZkey000001", 1), GrantsClosed("0aZkey000001", 2)])

    assert ours.look().last_audit == 2
