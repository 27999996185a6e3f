"""The agent: keeps one credential fresh on a host, and passes its access token on.

Owns one loop, in one thread, to which everything else sends messages. The source, not the agent, decides about tokens.
If a sink, a hook or the server fails, that is logged and counted, and the loop goes on.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack

from hourpass.client.agent.delivery import Delivery, Plan
from hourpass.client.agent.handout import handout_of
from hourpass.client.agent.mailbox import Mailbox
from hourpass.client.agent.notify import AgentStatus, duration
from hourpass.client.credential import Credential
from hourpass.client.refresh.cache import Cache
from hourpass.client.refresh.fetcher import LOCK_TIMEOUT
from hourpass.client.source import TokenSource
from hourpass.core.errors import HourpassError, LockTimeout, LoginRequired, Unavailable
from hourpass.core.policy import MINUTE, SECOND
from hourpass.service_manager import Notifier

TICK = 5 * SECOND
"""The loop turns at least this often, to find sinks that were tampered with, and after the machine was suspended."""

PATIENCE = 1.0
"""Seconds that the loop waits for a missing token before it looks at its messages again."""

HOOKS_WITHIN = 5.0
STANDBY = 0.5
STUCK = MINUTE


class Agent:
    """Serves from `run` until the message "stop". `source` must put its events into `mailbox`.

    `load` makes the sinks and hooks, at the start and at each reload.
    `key_name` returns the API key's name in the cache. If a reload finds another name, the new key is exchanged at
    once. `log` gets lines for a log, and `show` gets the status when it may have changed. `tick` is in milliseconds.
    """

    def __init__(
        self,
        source: TokenSource,
        mailbox: Mailbox,
        load: Callable[[], Plan],
        *,
        log: Callable[[str], None],
        key_name: Callable[[], str | None] = lambda: None,
        show: Callable[[AgentStatus], None] = lambda status: None,
        notifier: Notifier | None = None,
        tick: int = TICK,
    ) -> None:
        self.source = source
        self.delivery = Delivery(load(), self._say)
        self.failures = 0
        """Refreshes that failed since the last success."""
        self._mailbox = mailbox
        self._load = load
        self._log = log
        self._name_key = key_name
        self._key_name = key_name()
        self._show = show
        self._notifier = notifier or Notifier(None)
        self._tick = tick
        self._alive_at = source.now()
        self._trouble: HourpassError | None = None
        self._said: set[str] = set()
        self._is_announced = False

    @property
    def is_ready(self) -> bool:
        """Whether there is a valid token, and every sink has had one."""
        current = self.source.current
        return self.delivery.is_complete and current is not None and current.is_usable(self.source.now())

    @property
    def is_live(self) -> bool:
        """Whether the loop still runs."""
        return self.source.now() - self._alive_at < STUCK

    # --- the loop ---

    def run(self, ownership: Cache, services: Iterable[AbstractContextManager[object]] = ()) -> None:
        """Wait to be this credential's only agent, then serve until told to stop. Only then the services start.

        Raises:
            ConfigurationError, OSError: the lock cannot be taken, or a service cannot start.
        """
        with ExitStack() as stack:
            if not self._own(ownership, stack):
                return
            for service in services:
                stack.enter_context(service)
            while self._turn():
                pass
            self._notifier.send("STOPPING=1")
            # A refresh under way must be written to the cache, and its token still goes to the sinks.
            self.source.close(LOCK_TIMEOUT)
            self._deliver(self.source.current)
            self.delivery.plan.hooks.close(HOOKS_WITHIN)
            self._log("stopped")

    def _own(self, ownership: Cache, stack: ExitStack) -> bool:
        """Wait for the lock. False if the message to stop came first."""
        said = False
        while True:
            try:
                stack.enter_context(ownership.lock(0))
            except LockTimeout:
                if not said:
                    self._log("another agent holds this credential; standing by")
                    said = True
                self._notifier.send("STATUS=standing by", "WATCHDOG=1", f"EXTEND_TIMEOUT_USEC={MINUTE * 1000}")
                if self._mailbox.get(STANDBY) == "stop":
                    return False
            else:
                if said:
                    self._log("the other agent is gone; taking over")
                return True

    def _turn(self) -> bool:
        """One turn of the loop: token, sinks, status, wait, message. Returns whether to go on."""
        self._alive_at = self.source.now()
        credential = self._obtain()
        self._deliver(credential)
        self._tell(credential)
        match self._mailbox.get(self._pause(credential) / SECOND):
            case "stop":
                return False
            case "refresh":
                self._refresh_now(credential)
            case "reload":
                self._reload(credential)
            case "key":
                self._look_at_key(credential)
            case "published":
                self.failures = 0
            case "refused":
                # A new exchange may help, but a person should ask why: the grant may have been revoked for theft.
                self._say("the server no longer accepts the refresh token")
            case "failed":
                self.failures += 1
                self._explain()
            case _:
                pass
        return True

    def _obtain(self) -> Credential | None:
        """A valid credential if there is one. Past soft this starts a refresh, whose end sends a message."""
        try:
            credential = self.source.credential(within=PATIENCE)
        except HourpassError as error:
            self._complain(error)
            return None
        except OSError as error:
            self._complain(Unavailable(f"the token cache: {error.strerror}"))
            return None
        if self._trouble is not None and credential.freshness(self.source.now()) == "fresh":
            self._trouble = None
            self._say("the token is fresh again")
        return credential

    def _deliver(self, credential: Credential | None) -> None:
        now = self.source.now()
        if credential is not None and credential.is_usable(now):
            if self.delivery.bring(handout_of(self.source, credential)):
                self._said.clear()
                self._say(f"token number {credential.number} is in force for {duration(credential.expires_at - now)}")
            if self.delivery.is_complete and not self._is_announced:
                self._is_announced = True
                self._notifier.send("READY=1")
            return
        current = self.source.current
        if current is None or now >= current.expires_at:
            self.delivery.expire()

    def _pause(self, credential: Credential | None) -> int:
        """Milliseconds until there may be something to do without a message."""
        now, current = self.source.now(), self.source.current
        wakes = [now + self._tick]
        if current is not None:
            wakes += (at for at in (current.hard, current.expires_at) if at > now)
        if credential is None:
            wakes.append(max(self.source.retry_at, now + SECOND))
        elif (due := self._due(credential)) > now:
            wakes.append(due)
        return min(wakes) - now

    def _due(self, credential: Credential) -> int:
        return max(credential.soft, self.source.retry_at)

    # --- what messages ask for ---

    def _refresh_now(self, credential: Credential | None) -> None:
        self._log("refreshing, as asked")
        self._fetch(credential)

    def _fetch(self, credential: Credential | None) -> None:
        number = None if credential is None else credential.number
        try:
            self.source.refresh(rejected=number, retry=False, within=PATIENCE)
        except HourpassError as error:
            self._complain(error)

    def _reload(self, credential: Credential | None) -> None:
        try:
            plan = self._load()
        except HourpassError as error:
            self._log(f"not reloaded: {error}")
            return
        self.delivery.plan.hooks.close(HOOKS_WITHIN)
        self.delivery.plan = plan
        self._said.clear()
        if isinstance(self._trouble, LoginRequired):
            # There may be another key, so do not wait because the old one was refused.
            self.source.forget()
        self._log("reloaded")
        self._look_at_key(credential)

    def _look_at_key(self, credential: Credential | None) -> None:
        name = self._name_key()
        # None means that the key cannot be read now, not that it changed.
        if name is not None and name != self._key_name:
            self._key_name = name
            self.source.use_key(name)
            self._log("another API key: exchanging it")
            self._fetch(credential)

    # --- telling ---

    def _explain(self) -> None:
        """Log why a refresh failed that nobody waited for. Until the next try, the source raises that error again."""
        try:
            self.source.refresh(retry=False, within=0)
        except HourpassError as error:
            self._complain(error)
        else:
            self._say("a refresh failed, and the token is still fresh")

    def _complain(self, error: HourpassError) -> None:
        self._trouble = error
        self._say(str(error))

    def _say(self, words: str) -> None:
        # The same trouble is logged only once for each token.
        if words not in self._said:
            self._said.add(words)
            self._log(words)

    def _tell(self, credential: Credential | None) -> None:
        now = self.source.now()
        trouble = str(self._trouble or "")
        if credential is None:
            status = AgentStatus(None, None, None, trouble)
        else:
            due = self._due(credential) - now
            status = AgentStatus(
                credential.expires_at - now, now - credential.issued_at, due if due > 0 else None, trouble
            )
        self._show(status)
        self._notifier.send("WATCHDOG=1", f"STATUS={status}")
