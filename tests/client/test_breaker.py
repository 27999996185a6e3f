"""One breaker for many threads, and for children: no rejection is lost, counted twice, or waited for in vain."""

import os
import signal
import threading

from tests.client.conftest import NOW

from hourpass.client.auth.strategy import Breaker


class Held(int):
    """A number that is being compared until it is let go."""

    def __new__(cls, number):
        held = super().__new__(cls, number)
        held.is_compared, held.is_free = threading.Event(), threading.Event()
        return held

    def __le__(self, other):
        self.is_compared.set()
        assert self.is_free.wait(10)
        return int(self) <= other


def test_a_token_that_two_threads_reject_at_once_is_one_rejection():
    """Counted twice, the fourth token would open it."""
    breaker, held = Breaker(), Held(3)
    for number in range(3):
        breaker.reject(number, 0, NOW)
    first = threading.Thread(target=breaker.reject, args=(held, 0, NOW))
    second = threading.Thread(target=breaker.reject, args=(3, 0, NOW))
    first.start()
    assert held.is_compared.wait(10)
    second.start()
    second.join(0.2)
    held.is_free.set()
    first.join()
    second.join()

    assert breaker.allows(NOW)
    breaker.reject(4, 0, NOW)
    assert not breaker.allows(NOW)


def test_a_forked_child_finds_no_breaker_locked():
    """A thread that is just counting must not leave its lock to a child that does not have that thread."""
    ended, breaker = threading.Event(), Breaker()

    def count():
        number = 0
        while not ended.is_set():
            breaker.reject(number := number + 1, 0, number * 20_000)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(50):
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                Breaker().reject(1, 0, NOW)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        ended.set()
        thread.join()
