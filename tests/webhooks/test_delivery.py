"""A real server delivers over TLS while it is killed, to receivers that are honest, slow, dead and lying."""

import itertools
import socket
import time

import pytest
from tests.conftest import free_port
from tests.webhooks.conftest import ACTOR
from tests.webhooks.receivers import accepts, hangs_up, is_slow, never_ends, says, takes_its_time, wait_until

from hourpass.core import key_events
from hourpass.core.published import PUBLISHED
from hourpass.core.webhook import GIVE_UP_AFTER
from hourpass.server.store.webhooks import WebhookProgress
from hourpass.server.webhooks.book import MOST_UNSAVED
from hourpass.server.webhooks.webhooks import get_webhook, recent_deliveries, shown_url

KILLED_AFTER = range(1, 11)
"""How many further events have arrived when the server is killed: of EVENTS, before and after progress is written."""

EVENTS = 12


@pytest.fixture(scope="module")
def running(serve_all, authority):
    return serve_all(webhook_allow_private="true", environment={"SSL_CERT_FILE": str(authority.file)})


@pytest.fixture
def server(running, desk):
    """One server for all: each test has webhooks of its own, which are deleted with it."""
    if running.process.poll() is not None:
        running.restart()
    yield running
    for webhook in desk(running).do(lambda store: store.webhooks()):
        desk(running).delete(webhook.webhook_id)


def in_order_and_none_missing(numbers, all_numbers):
    """Each event came, first in order. A crash repeats some of the last ones, never more than are unwritten."""
    assert list(dict.fromkeys(numbers)) == all_numbers
    assert all(later >= earlier - MOST_UNSAVED for earlier, later in itertools.pairwise(numbers))


@pytest.mark.timeout(300)
def test_every_event_arrives_in_order_though_the_server_is_killed_ten_times(server, desk, receive):
    honest, liar, slow = receive(takes_its_time), receive(hangs_up), receive(is_slow(30))
    inside = receive(accepts, certificate=None)
    moved = receive(says(f"HTTP/1.1 307 Moved\r\nlocation: {inside.url()}\r\n\r\n".encode()))
    secret = desk(server).create(honest.url()).secret
    for other in (liar.url(), slow.url(), moved.url(), f"https://127.0.0.1:{free_port()}/"):
        desk(server).create(other)
    numbers = []
    for after in KILLED_AFTER:
        numbers += desk(server).happen(EVENTS)
        enough = len(honest.received) + after
        wait_until(lambda enough=enough: len(honest.received) >= enough)
        server.kill()
        server.restart()
    numbers += desk(server).happen(1)
    wait_until(lambda: honest.numbers()[-1:] == numbers[-1:], seconds=60)

    in_order_and_none_missing(honest.numbers(), numbers)
    events = honest.verified(secret)
    assert {event["type"] for event in events} == {"key.created"}
    assert len({each.headers["webhook-id"] for each in honest.received}) == len(numbers)
    # The others took nothing, so they are offered the first event again and again. Nobody waited for them.
    assert set(liar.numbers()) == set(slow.numbers()) == set(moved.numbers()) == {numbers[0]}
    assert inside.connections == 0


def test_what_one_receiver_does_holds_up_no_other_one_and_is_noted(server, desk, receive):
    inside = receive(accepts, certificate=None)
    moved = receive(says(f"HTTP/1.1 307 Moved\r\nlocation: {inside.url()}\r\n\r\n".encode()))
    receivers = {
        "status": moved,
        "broken": receive(hangs_up),
        "gone": receive(says(b"HTTP/1.1 410 Gone\r\n\r\n")),
        "delivered": receive(never_ends),
    }
    with socket.create_server(("127.0.0.1", 0), backlog=1) as dead:
        made = {result: desk(server).create(each.url()).webhook for result, each in receivers.items()}
        desk(server).create(f"https://127.0.0.1:{dead.getsockname()[1]}/")
        desk(server).create("https://nowhere.invalid/")
        honest = receive()
        desk(server).create(honest.url())
        numbers = desk(server).happen(EVENTS)
        wait_until(lambda: len(honest.received) >= EVENTS, seconds=9.5)  # a dead one takes 10 s
    assert honest.numbers()[:EVENTS] == numbers
    assert inside.connections == 0

    def results(store, name):
        return {each.result for each in recent_deliveries(store, made[name].webhook_id, desk(server).now)}

    for name in receivers:
        wait_until(lambda name=name: desk(server).do(lambda store: results(store, name)) == {name})
    gone = desk(server).do(lambda store: get_webhook(store, made["gone"].webhook_id))
    assert (gone.disabled_why, len(receivers["gone"].received)) == ("gone", 1)
    wait_until(lambda: "webhook.disabled" in [event["type"] for event in honest.events()])
    (told,) = [event for event in honest.events() if event["type"] == "webhook.disabled"]
    assert told["data"]["detail"]["why"] == "gone"
    assert told["data"]["actor"] == "server"


def test_a_webhook_gets_what_it_subscribed_to_and_learns_of_changes_while_the_server_runs(server, desk, receive):
    first, second = receive(), receive()
    made = desk(server).create(first.url(), events=["key.revoked"])
    created = desk(server).happen(2)
    revoked = desk(server).append(key_events.KeyRevoked("0aZkey000001", "revoked", ACTOR))
    wait_until(lambda: first.numbers() == [revoked])

    webhook_id = made.webhook.webhook_id
    desk(server).change(webhook_id, events=sorted(PUBLISHED), url=second.url())
    later = desk(server).happen(1)
    wait_until(lambda: second.numbers()[-1:] == later)
    assert not set(created) & set(second.numbers())

    desk(server).change(webhook_id, disabled=True)
    missed = desk(server).happen(1)
    time.sleep(1.2)
    assert second.numbers()[-1:] == later
    desk(server).change(webhook_id, disabled=False)
    wait_until(lambda: second.numbers()[-1:] == missed)

    new = desk(server).rotate(webhook_id)
    last = desk(server).happen(1)
    wait_until(lambda: second.numbers()[-1:] == last)
    second.received[:] = second.received[-1:]
    assert second.verified(new.secret) == second.verified(made.secret)


def test_a_receiver_that_fails_for_three_days_is_told_no_more_and_others_learn_of_it(server, desk, receive):
    """The instant since when it fails outlives a restart, so it is put back in the database."""
    failing, honest = receive(says(b"HTTP/1.1 503 No\r\n\r\n")), receive()
    made = desk(server).create(failing.url()).webhook
    desk(server).create(honest.url(), events=["webhook.disabled"])
    server.stop()
    since = desk(server).now - GIVE_UP_AFTER - 1
    desk(server).do(lambda store: store.save_progress(WebhookProgress(made.webhook_id, 0, made.delivered, since)))
    server.restart()
    desk(server).happen(1)

    wait_until(lambda: honest.events())
    (told,) = honest.events()
    assert told["data"]["detail"] == {"webhook_id": made.webhook_id, "url": shown_url(made.url), "why": "failing"}
    assert len(failing.received) == 1
    found = desk(server).do(lambda store: get_webhook(store, made.webhook_id))
    assert (found.disabled_why, found.delivered) == ("failing", made.delivered)
    assert "webhook disabled" in server.log.read_text()


def test_a_drain_ends_an_attempt_soon_and_the_next_start_repeats_it(server, desk, receive):
    slow = receive(is_slow(30))
    desk(server).create(slow.url())
    numbers = desk(server).happen(1)
    wait_until(lambda: slow.received)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5

    slow.answer = accepts
    server.restart()
    wait_until(lambda: len(slow.received) == 2)
    assert slow.numbers() == numbers * 2
