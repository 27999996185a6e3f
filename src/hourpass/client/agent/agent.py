"""The agent: keeps one credential fresh on a host and hands its access token on.

Owns one loop, in one thread, that everything else sends messages to. It decides nothing about tokens: that is the
source's. Whatever fails, a sink, a hook, the server, is logged and counted, and the loop goes on.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack

from hourpass.client.agent.delivery import Delivery, Plan
from hourpass.client.agent.handout import handout_of
from hourpass.client.agent.mailbox import Mailbox
from hourpass.client.agent.notify import AgentStatus, Notifier, duration
from hourpass.client.credential import Credential
from hourpass.client.refresh.cache import Cache
from hourpass.client.refresh.fetcher import LOCK_TIMEOUT
from hourpass.client.source import TokenSource
from hourpass.core.errors import HourpassError, LockTimeout, LoginRequired, Unavailable
from hourpass.core.policy import MINUTE, SECOND

TICK = 5 * SECOND
"""The loop looks around this often at least: for sinks that were tampered with, and after the machine was suspended."""

PATIENCE = 1.0
"""Seconds that the loop waits for a token it does not have, before it looks at its messages again."""

HOOKS_WITHIN = 5.0
STANDBY = 0.5
STUCK = MINUTE


class Agent:
    """Serves from `run` to the message "stop". `source` must put its events into `mailbox`.

    `load` makes the sinks and hooks, at the start and at each reload; `key_name` says what the API key goes by in the
    cache, and a reload that finds another one exchanges the new key at once. `log` gets lines for a log, `show` the
    status whenever it may have changed. `tick` is in milliseconds.
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
        """Refreshes that failed since the last one that did not."""
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
        """Whether there is a token that counts, and every sink has had one."""
        current = self.source.current
        return self.delivery.is_complete and current is not None and current.is_usable(self.source.now())

    @property
    def is_live(self) -> bool:
        """Whether the loop still turns."""
        return self.source.now() - self._alive_at < STUCK

    # --- the loop ---

    def run(self, ownership: Cache, services: Iterable[AbstractContextManager[object]] = ()) -> None:
        """Wait to be this credential's only agent, then serve until told to stop. Services begin with ownership.

        Raises:
            ConfigurationError, OSError: the lock cannot be had, or a service cannot begin.
        """
        with ExitStack() as stack:
            if not self._own(ownership, stack):
                return
            for service in services:
                stack.enter_context(service)
            while self._turn():
                pass
            self._notifier.send("STOPPING=1")
            # A refresh under way must end in the cache; what it brings still goes to the sinks.
            self.source.close(LOCK_TIMEOUT)
            self._deliver(self.source.current)
            self.delivery.plan.hooks.close(HOOKS_WITHIN)
            self._log("stopped")

    def _own(self, ownership: Cache, stack: ExitStack) -> bool:
        """Whether the lock came before the order to stop."""
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
        """Once around: token, sinks, status, wait, message. Whether to go on."""
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
            case "published":
                self.failures = 0
            case "refused":
                # A new exchange may heal it, and somebody should ask why: it may have been revoked for theft.
                self._say("the server no longer accepts the refresh token")
            case "failed":
                self.failures += 1
                self._explain()
            case _:
                pass
        return True

    def _obtain(self) -> Credential | None:
        """A good credential if there is one. Past soft this starts a refresh, and its end sends a message."""
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
            # There may be another key: the refusal of the old one is not to be waited out.
            self.source.forget()
        self._log("reloaded")
        name = self._name_key()
        # A key that cannot be read now is not another one.
        if name is not None and name != self._key_name:
            self._key_name = name
            self.source.use_key(name)
            self._log("another API key: exchanging it")
            self._fetch(credential)

    # --- telling ---

    def _explain(self) -> None:
        """Ask for the reason of a failed refresh that nobody waited for: until it may be tried again, it is raised."""
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
        # The same trouble again and again is one line for each token.
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
