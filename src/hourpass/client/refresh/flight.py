"""One refresh at a time in this process: whoever needs one begins it or joins the one under way.

A flight runs in a thread of its own, so that nobody who waits for it can cancel it. Owns the newest credential and the
memory of what failed last; how to fetch is `fetcher`'s, who waits and for how long is `source`'s.
"""

import atexit
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from typing import assert_never
from weakref import WeakSet

from hourpass.client.credential import Credential
from hourpass.client.refresh.fetcher import Fetcher, RefreshEvent
from hourpass.client.refresh.setting import Setting
from hourpass.client.refresh.transaction import GiveUp, KeepGood, Wait
from hourpass.core.errors import HourpassError, LoginRequired, Unavailable
from hourpass.core.policy import SECOND

REST = 30 * SECOND
"""How long a refusal is remembered: asking again at once would only be refused again."""


class Flights:
    """The refreshes of one credential. `observe` is told each event in the thread where it happens."""

    def __init__(self, setting: Setting, observe: Callable[[RefreshEvent], None] | None) -> None:
        self.current: Credential | None = None
        self.error: HourpassError | None = None
        """What ended the last flight; None after a success."""
        self.not_before = 0
        """The instant before which no refresh is worth trying."""
        self.counts: Counter[RefreshEvent] = Counter()
        self._now = setting.clock
        self._observe = observe
        self._fetcher = Fetcher(setting, self._emit)
        self._failures = 0
        self._closed = False
        self._guard = threading.Lock()
        self._flight: Future[None] | None = None
        self._thread: threading.Thread | None = None
        _all.add(self)

    def holds(self, is_good: Callable[[Credential, int], bool]) -> bool:
        """Whether what we hold is good."""
        return self.current is not None and is_good(self.current, self._now())

    def look(self, is_good: Callable[[Credential, int], bool]) -> None:
        """Take over what a sibling may have put into the cache, if that is good.

        Raises:
            ConfigurationError: the cache cannot be read.
        """
        found = self._fetcher.read()
        if found is not None and is_good(found, self._now()):
            self._publish(found)

    def take_off(self, rejected: int | None) -> Future[None]:
        """Begin a refresh, or join the one under way. The future says that it is over, not how it ended.

        Raises:
            Unavailable: after `close`, or where the system has no thread to give.
        """
        with self._guard:
            if self._flight is None:
                if self._closed:
                    raise Unavailable("the token source is closed")
                flight: Future[None] = Future()
                # A future that runs cannot be cancelled, from whichever side.
                flight.set_running_or_notify_cancel()
                try:
                    # A daemon, as an exchange that hangs must not hold up a process that ends; see `_land_all`.
                    thread = threading.Thread(
                        target=self._fly, args=(flight, rejected), name="hourpass-refresh", daemon=True
                    )
                    thread.start()
                except RuntimeError as error:
                    raise Unavailable("no thread can be started") from error
                self._thread = thread
                self._flight = flight
            return self._flight

    def trouble(self) -> HourpassError:
        """What ended the last flight, as a new error each time: several threads may raise it."""
        match self.error:
            case None:
                return Unavailable("the token endpoint has not answered in time")
            case Unavailable() as error:
                again = copy(error)
                again.retry_after = max(1, -((self._now() - self.not_before) // SECOND))
                return again
            case error:
                return copy(error)

    def forget(self) -> None:
        """Drop what is held in memory, the last error included."""
        with self._guard:
            self.current = None
            self.error = None
            self._failures = self.not_before = 0

    def use_key(self, name: str | None) -> None:
        """The API key is another one: go on with the token at hand, and fetch the next with the new key."""
        with self._guard:
            self._fetcher.use_key(name)
            if self.current is not None:
                self.current = self.current._replace(refresh_token=None, exchanged_at=None, key_name=None)
            self.error = None
            self._failures = self.not_before = 0

    def close(self, seconds: float) -> None:
        """Begin no further flight, and wait so long for the end of one that is under way."""
        self._closed = True
        flight = self._flight
        if flight is not None:
            with suppress(TimeoutError):
                flight.result(seconds)

    def hold_on(self) -> None:
        """Wait for a flight that has a refresh token at stake, until its request is over at the latest."""
        while self._thread is not None and self._thread.is_alive():
            until = self._fetcher.at_stake_until
            if until is None or self._now() > until + OVERRUN:
                return
            self._thread.join(0.02)

    def join(self, seconds: float) -> None:
        """Wait so long for the thread of a flight under way."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _fly(self, flight: Future[None], rejected: int | None) -> None:
        try:
            self._land(self._fetcher.fetch(rejected=rejected, current=self.current, failures=self._failures))
        except HourpassError as error:
            self._fail(error, self._now() + SECOND)
        except Exception as error:  # noqa: BLE001 callers wait, and nobody else would tell them
            self._fail(Unavailable(f"the refresh broke off ({type(error).__name__})"), self._now() + SECOND)
        finally:
            with self._guard:
                self._flight = None
            flight.set_result(None)

    def _land(self, ending: Credential | KeepGood | Wait | GiveUp) -> None:
        match ending:
            case Credential():
                self._publish(ending)
                self._failures = self.not_before = 0
                self.error = None
            case KeepGood(until, why) | Wait(until, why):
                self._fail(Unavailable(why), until)
            case GiveUp(why, reason):
                self._emit("login_required")
                self._fail(LoginRequired(why, reason=reason), self._now() + REST)
            case _:
                assert_never(ending)

    def _fail(self, error: HourpassError, until: int) -> None:
        self._failures += 1
        self.error = error
        self.not_before = until
        self._emit("failed")

    def _publish(self, credential: Credential) -> None:
        with self._guard:
            if self.current is not None and credential.number <= self.current.number:
                return
            if not self._fetcher.is_of_key(credential):
                return
            self.current = credential
        self._emit("published")

    def _emit(self, event: RefreshEvent) -> None:
        self.counts[event] += 1
        if self._observe is not None:
            # An observer that fails must not cost the token.
            with suppress(Exception):
                self._observe(event)

    def begin_in_child(self) -> None:
        """After a fork: locks and threads stayed with the parent.

        So did the right to present its refresh token: only a cache with a lock between processes can share that.
        """
        self._guard = threading.Lock()
        self._flight = self._thread = None
        self.not_before = 0
        if self.current is not None:
            self.current = self.current._replace(refresh_token=None)


_all: "WeakSet[Flights]" = WeakSet()

FORK_WAIT = 1.0
"""Seconds that a fork waits for each refresh under way."""

OVERRUN = 250
"""Milliseconds that a request may take beyond its end before a process ends without it."""


def _await_flights() -> None:
    # The TLS library's own locks are copied as they stand: a child forked in the middle of a handshake, or of a
    # thread's end, would wait for them for ever at its own first refresh.
    for flights in list(_all):
        flights.join(FORK_WAIT)


def _begin_in_child() -> None:
    # At once, whatever is called first, and before the child has a second thread.
    for flights in list(_all):
        flights.begin_in_child()


def _land_all() -> None:
    # A process that ends waits for the answer rather than lose a rotated token. Who presses Ctrl-C again is obeyed.
    with suppress(KeyboardInterrupt):
        for flights in list(_all):
            flights.hold_on()


atexit.register(_land_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_await_flights, after_in_child=_begin_in_child)
