"""Published events as receivers and pollers read them: in order, in pages, and for a delegated key only its own."""

import asyncio

import pytest
from tests.webhooks.conftest import NOW

from hourpass.core import grant_events, key_events, server_events
from hourpass.core.actor import Actor
from hourpass.core.admin_access import AdminCaller
from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.server.ledger.news import MAX_WAITERS, News
from hourpass.server.webhooks.events import SCANNED, events_after


def happen(store, *events):
    store.append_audit(NOW, events)


def created(key_id="k1"):
    return key_events.KeyCreated(key_id, "a name", Actor("key:k9", "192.0.2.1"))


HIDDEN = grant_events.GrantsClosed("k1", 3)


def test_an_event_says_what_happened_when_to_what_by_whom(store):
    happen(store, created())

    ((at, event),), last = events_after(store, 0)
    assert (at, last) == (NOW, 1)
    assert (event.type, event.number, event.timestamp) == ("key.created", 1, "2027-01-15T08:00:00Z")
    assert (event.data.key_id, event.data.grant_id) == ("k1", None)
    assert (event.data.actor, event.data.address, event.data.detail) == ("key:k9", "192.0.2.1", {"name": "a name"})


def test_lines_that_are_not_published_are_passed_over(store):
    happen(store, HIDDEN, created(), HIDDEN)

    events, last = events_after(store, 0)
    assert ([each.event.number for each in events], last) == ([2], 3)


def test_a_page_ends_at_its_limit_and_the_next_one_goes_on_after_it(store):
    happen(store, created(), HIDDEN, created(), created())

    events, last = events_after(store, 0, 2)
    assert ([each.event.number for each in events], last) == ([1, 3], 3)
    events, last = events_after(store, last, 2)
    assert ([each.event.number for each in events], last) == ([4], 4)
    assert events_after(store, 4) == ([], 4)


def test_a_page_reads_a_bounded_part_of_the_trail_and_says_how_far_it_is(store):
    happen(store, *[HIDDEN] * (SCANNED + 1), created())

    assert events_after(store, 0) == ([], SCANNED)
    assert len(events_after(store, SCANNED).events) == 1


def test_a_prefix_shows_only_events_of_keys_whose_subject_begins_so(store):
    for key_id, subject, admin in (("k1", "acme/1", None), ("k2", "other/1", None), ("k3", "acme/2", "owner")):
        secret = KeySecret(key_id.encode(), 0, NOW)
        store.add_key(
            ApiKey(key_id, "", subject, "", "production", None, None, (), NOW, admin=admin, secrets=(secret,))
        )
    happen(
        store,
        created("k1"),
        created("k2"),
        created("k3"),
        server_events.SigningKeyPublished("s", "ES256", NOW),
        created("k1"),
    )

    caller = AdminCaller(Actor("key:k9"), frozenset(), "k9", "acme/", "a")
    events, last = events_after(store, 0, caller=caller)
    assert ([each.event.number for each in events], last) == ([1, 5], 5)


@pytest.mark.anyio
async def test_all_who_wait_learn_of_a_new_line_at_once():
    news = News()
    news.seen(4)
    waiting = [asyncio.ensure_future(news.wait(4, 20)) for _ in range(3)]
    later = asyncio.ensure_future(news.wait(5, 20))
    await asyncio.sleep(0)
    news.seen(5)

    assert await asyncio.gather(*waiting) == [True] * 3
    assert not later.done()
    news.seen(3)
    assert news.last == 5
    news.close()
    assert await later is False
    assert await news.wait(5, 20) is False


@pytest.mark.anyio
async def test_nobody_waits_for_what_is_there_or_for_too_long_or_beside_too_many():
    news = News()
    news.seen(4)
    assert await news.wait(3, 20) is True
    assert await news.wait(4, 0.01) is False
    many = [asyncio.ensure_future(news.wait(4, 20)) for _ in range(MAX_WAITERS)]
    await asyncio.sleep(0)
    assert news.waiting == MAX_WAITERS
    assert await news.wait(4, 20) is False
    news.close()
    await asyncio.gather(*many)
    assert news.waiting == 0
