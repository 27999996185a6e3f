"""One refresh at a time in this process: a caller starts it, or joins the one under way.

A flight is one such refresh. It runs in a thread of its own, so that a caller who waits for it cannot cancel it. This
module owns the newest credential and the last error. `fetcher` fetches, and `source` decides who waits and how long.
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

from hourpass import tracing
from hourpass.client.credential import Credential
from hourpass.client.refresh.fetcher import Fetcher, RefreshEvent
from hourpass.client.refresh.setting import Setting
from hourpass.client.refresh.transaction import GiveUp, KeepGood, Wait
from hourpass.core.errors import ExtraMissing, HourpassError, LoginRequired, Unavailable
from hourpass.core.policy import SECOND

REST = 30 * SECOND
"""Milliseconds for which a refusal is remembered: asking again at once would only be refused again."""


class Flights:
    """The refreshes of one credential. `observe` is called with each event in the thread where it happens."""

    def __init__(self, setting: Setting, observe: Callable[[RefreshEvent], None] | None) -> None:
        self.current: Credential | None = None
        self.error: HourpassError | None = None
        """The error of the last flight. None after a success."""
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
        """Whether the current credential is good."""
        return self.current is not None and is_good(self.current, self._now())

    def look(self, is_good: Callable[[Credential, int], bool]) -> None:
        """Take a credential that another process has put into the cache, if it is good.

        Raises:
            ConfigurationError: the cache cannot be read.
        """
        found = self._fetcher.read()
        if found is not None and is_good(found, self._now()):
            self._publish(found)

    def take_off(self, rejected: int | None) -> Future[None]:
        """Start a refresh, or join the one under way. The future says that it is over, not how it ended.

        Raises:
            Unavailable: after `close`, or if the system cannot start a thread.
        """
        with self._guard:
            if self._flight is None:
                if self._closed:
                    raise Unavailable("the token source is closed")
                flight: Future[None] = Future()
                # A running future cannot be cancelled by any caller.
                flight.set_running_or_notify_cancel()
                try:
                    # A daemon, because an exchange that hangs must not stop a process from ending. See `_land_all`.
                    thread = threading.Thread(
                        target=tracing.carried(self._fly), args=(flight, rejected), name="hourpass-refresh", daemon=True
                    )
                    thread.start()
                except RuntimeError as error:
                    raise Unavailable("no thread can be started") from error
                self._thread = thread
                self._flight = flight
            return self._flight

    def trouble(self) -> HourpassError:
        """The error of the last flight, copied each time, because several threads may raise it."""
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
        """Drop the credential in memory and the last error."""
        with self._guard:
            self.current = None
            self.error = None
            self._failures = self.not_before = 0

    def use_key(self, name: str | None) -> None:
        """Use another API key: keep the current access token, and fetch the next one with the new key."""
        with self._guard:
            self._fetcher.use_key(name)
            if self.current is not None:
                self.current = self.current._replace(refresh_token=None, exchanged_at=None, key_name=None)
            self.error = None
            self._failures = self.not_before = 0

    def close(self, seconds: float) -> None:
        """Start no more flights, and wait up to `seconds` for the end of one that is under way."""
        self._closed = True
        flight = self._flight
        if flight is not None:
            with suppress(TimeoutError):
                flight.result(seconds)

    def hold_on(self) -> None:
        """Wait for a flight that has a refresh token at stake, at most until its request is over."""
        while self._thread is not None and self._thread.is_alive():
            until = self._fetcher.at_stake_until
            if until is None or self._now() > until + OVERRUN:
                return
            self._thread.join(0.02)

    def join(self, seconds: float) -> None:
        """Wait up to `seconds` for the thread of a flight under way."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _fly(self, flight: Future[None], rejected: int | None) -> None:
        try:
            with tracing.around("hourpass.refresh") as span:
                self._land(self._fetcher.fetch(rejected=rejected, current=self.current, failures=self._failures))
                if span and self.error:
                    tracing.note(span, self.error)
        except HourpassError as error:
            self._fail(error, self._now() + SECOND)
        except ModuleNotFoundError as error:
            missing = ExtraMissing.of("client", f"a refresh needs an extra ({error.name} is missing)")
            self._fail(missing, self._now() + SECOND)
        except Exception as error:  # noqa: BLE001 callers wait, and must be told
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
        tracing.event(event)
        if self._observe is not None:
            # An observer that fails must not cost the token.
            with suppress(Exception):
                self._observe(event)

    def begin_in_child(self) -> None:
        """Start again after a fork: locks and threads stayed with the parent.

        The refresh token stays with the parent too. Only a cache with a lock between processes can share it.
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
"""Milliseconds that a request may take beyond its time before the process ends without it."""


def _await_flights() -> None:
    # A fork copies the TLS library's own locks as they are. A child that is forked in the middle of a handshake, or of
    # a thread's end, would wait for them for ever at its own first refresh.
    for flights in list(_all):
        flights.join(FORK_WAIT)


def _begin_in_child() -> None:
    # At once, before the child has a second thread.
    for flights in list(_all):
        flights.begin_in_child()


def _land_all() -> None:
    # A process that ends waits for the answer, so that a rotated token is not lost. Another Ctrl-C ends the wait.
    with suppress(KeyboardInterrupt):
        for flights in list(_all):
            flights.hold_on()


atexit.register(_land_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_await_flights, after_in_child=_begin_in_child)
