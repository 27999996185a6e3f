"""Carries out one refresh: takes the lock, reads the cache, sends what the transaction says, writes the result.

Owns only the order of these steps. `transaction` decides what to do next, and `source` decides who waits for it. If a
process dies between two steps, the next process can go on from the cache.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, assert_never

from hourpass.client.credential import Credential, dump_credential, load_credential, new_credential, newest
from hourpass.client.refresh.setting import Setting
from hourpass.client.refresh.transaction import (
    Adopt,
    GiveUp,
    Granted,
    KeepGood,
    NotAccepted,
    Outcome,
    PostExchange,
    PostRefresh,
    Transaction,
    Transient,
    Unknown,
    Wait,
)
from hourpass.core.errors import ConfigurationError, HourpassError
from hourpass.core.policy import SECOND

if TYPE_CHECKING:
    from hourpass.client.refresh.token_endpoint import TokenEndpoint

RefreshEvent = Literal[
    "locked", "posting", "answered", "resent", "refused", "exchanged", "refreshed", "written", "unsaved", "adopted",
    "published", "failed", "login_required",
]  # fmt: skip
"""What happens during a refresh, for counters and observers."""

LEAST = 0.1
"""The least seconds that a request gets, even if the lock took all of the time."""

LOCK_TIMEOUT = 35.0
"""Seconds: how long another process may take to send three times."""


class Fetcher:
    """Fetches one credential of one server. `emit` is called with each event.

    `at_stake_until` is set from just before a refresh token is sent until its successor is written. It is the instant
    by which the request is over. None while nothing would be lost if the process ended.
    """

    def __init__(self, setting: Setting, emit: Callable[[RefreshEvent], None]) -> None:
        self.at_stake_until: int | None = None
        self._setting = setting
        self._emit = emit
        self._endpoint: TokenEndpoint | None = None

    def use_key(self, name: str | None) -> None:
        """Use another API key from now on. `name` is its name in the cache."""
        self._setting = self._setting._replace(key_name=name)

    def is_of_key(self, credential: Credential) -> bool:
        """Whether a credential may belong to the current API key."""
        names = (credential.key_name, self._setting.key_name)
        return None in names or names[0] == names[1]

    def read(self) -> Credential | None:
        """The credential in the cache for this server. Needs no lock, because a cache is replaced whole.

        Raises:
            ConfigurationError: the cache cannot be read, or is not ours.
        """
        setting = self._setting
        return load_credential(setting.cache.read(), setting.owner, setting.clock(), setting.wall(), setting.key_name)

    def fetch(
        self, *, rejected: int | None, current: Credential | None, failures: int
    ) -> Credential | KeepGood | Wait | GiveUp:
        """One refresh, from the lock to its end. `current` is used if the cache has nothing newer.

        Raises:
            LockTimeout: another process does not end its refresh.
            ConfigurationError: the API key or the cache cannot be read, or the cache cannot be locked.
        """
        setting = self._setting
        ends_at = setting.clock() + int(setting.patience * SECOND)
        transaction = Transaction(
            rejected=rejected, has_key=setting.api_key is not None, failures=failures, ends_at=ends_at
        )
        with setting.cache.lock(LOCK_TIMEOUT):
            self._emit("locked")
            try:
                return self._carry_out(transaction, rejected, current, ends_at)
            finally:
                self.at_stake_until = None

    def _carry_out(
        self, transaction: Transaction, rejected: int | None, current: Credential | None, ends_at: int
    ) -> Credential | KeepGood | Wait | GiveUp:
        setting = self._setting
        while True:
            cached = self._newest(current)
            step = transaction.next(cached, setting.clock(), setting.chance())
            match step:
                case Adopt(credential):
                    self._emit("adopted")
                    return credential
                case KeepGood() | Wait() | GiveUp():
                    return step
                case PostRefresh() | PostExchange():
                    sent_at = setting.clock()
                    outcome = self._post(step, ends_at)
                case _:
                    assert_never(step)
            match outcome:
                case Granted():
                    return self._keep(outcome, step, sent_at, cached, rejected)
                case Unknown():
                    self._emit("resent")
                case NotAccepted():
                    self._emit("refused")
                case Transient():
                    pass
                case _:
                    assert_never(outcome)
            transaction.record(outcome)

    def _newest(self, current: Credential | None) -> Credential | None:
        """The newer of the cached and the current credential."""
        cached = self.read()
        if cached is None or current is None or cached.access_token != current.access_token:
            return newest(cached, current)
        # It is the same token. The cache dates it by the wall clock, and if that was set back, an old token looks
        # young. The refresh token comes from the cache, because a forked child has none.
        return current._replace(refresh_token=cached.refresh_token)

    def _post(self, step: PostRefresh | PostExchange, ends_at: int) -> Outcome:
        if self._endpoint is None:
            # Imported here, because only a request needs the HTTP library.
            from hourpass.client.refresh.token_endpoint import TokenEndpoint  # noqa: PLC0415

            self._endpoint = TokenEndpoint(self._setting)
        key = self._api_key() if isinstance(step, PostExchange) else ""
        within = max((ends_at - self._setting.clock()) / SECOND, LEAST)
        self._emit("posting")
        if isinstance(step, PostRefresh):
            self.at_stake_until = ends_at
            outcome = self._endpoint.refresh(step.refresh_token, within)
        else:
            outcome = self._endpoint.exchange(key, within)
        self._emit("answered")
        return outcome

    def _api_key(self) -> str:
        key = self._setting.api_key
        if not callable(key):
            return (key or "").strip()
        try:
            return key().strip()
        except HourpassError:
            raise
        except Exception as error:  # noqa: BLE001 the callable is the caller's
            # Its text is not repeated, because it may hold the key.
            raise ConfigurationError(f"the API key cannot be read ({type(error).__name__})") from None

    def _keep(
        self,
        granted: Granted,
        step: PostRefresh | PostExchange,
        sent_at: int,
        cached: Credential | None,
        rejected: int | None,
    ) -> Credential:
        setting, is_exchange = self._setting, isinstance(step, PostExchange)
        credential = new_credential(
            access_token=granted.access_token,
            # RFC 6749 §6: a refresh that brings no refresh token leaves the old one in force.
            refresh_token=granted.refresh_token or (None if isinstance(step, PostExchange) else step.refresh_token),
            number=max(cached.number if cached else 0, rejected or 0) + 1,
            issued_at=sent_at,
            lifetime=granted.lifetime,
            jitter=setting.chance(),
            refresh_in=granted.refresh_in,
            exchanged_at=sent_at if is_exchange else cached and cached.exchanged_at,
            key_name=setting.key_name if is_exchange else cached and cached.key_name,
        )
        self._emit("exchanged" if is_exchange else "refreshed")
        try:
            setting.cache.write(dump_credential(credential, setting.owner, setting.clock(), setting.wall()))
        except (OSError, ConfigurationError):
            # A full disk must not cost the token that has just come. The next refresh tries to write again.
            self._emit("unsaved")
        else:
            self._emit("written")
        return credential
