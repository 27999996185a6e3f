"""The mailbox: order, and a wait that any thread and any signal ends."""

import signal
import threading
import time
from contextlib import closing

import pytest

from hourpass.client.agent.mailbox import Mailbox


@pytest.fixture
def mailbox():
    with closing(Mailbox()) as mailbox:
        yield mailbox


def test_messages_come_out_in_their_order(mailbox):
    mailbox.put("reload")
    mailbox.put("stop")

    assert [mailbox.get(0), mailbox.get(0), mailbox.get(0)] == ["reload", "stop", None]


def test_a_message_from_another_thread_ends_the_wait(mailbox):
    timer = threading.Timer(0.05, mailbox.put, ("published",))
    timer.start()

    began = time.monotonic()
    assert mailbox.get(10) == "published"
    assert time.monotonic() - began < 5
    timer.join()


def test_more_messages_than_rings_are_all_there(mailbox):
    for _ in range(5000):
        mailbox.put("posting")

    assert sum(mailbox.get(0) is not None for _ in range(5001)) == 5000


def test_a_signal_that_another_thread_receives_ends_the_wait(mailbox):
    """Such a signal does not interrupt the main thread, which runs the handler."""
    handler = signal.signal(signal.SIGUSR1, lambda *_: mailbox.put("refresh"))
    descriptor = signal.set_wakeup_fd(mailbox.wakeup_descriptor(), warn_on_full_buffer=False)

    def receive():
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    thread = threading.Thread(target=receive)
    try:
        thread.start()
        began = time.monotonic()
        assert mailbox.get(10) == "refresh"
        assert time.monotonic() - began < 5
    finally:
        thread.join()
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGUSR1, handler)
