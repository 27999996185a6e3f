"""What a use case of the administration works with: one transaction of a store, and who asks."""

from collections.abc import Callable
from typing import Any, NamedTuple

from hourpass.core.actor import Actor
from hourpass.core.admin_access import AdminCaller, require_changeable, sees
from hourpass.core.api_key import ApiKey
from hourpass.core.policy import Policy
from hourpass.server.keys.api_keys import get_key, no_such_key
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store


class Outside(Exception):
    """Raised by a use case that needs something which takes time: another host's answer, or the check of a slow hash.

    The transaction is undone, `work` is done outside of any, and the use case is called again with what it returned as
    `outside`. So no other transaction waits for it. `test_of` is the id of the webhook that is tried out. `begins` is
    how the key begins whose slow hash is checked.
    """

    def __init__(self, work: Callable[[], Any], *, test_of: str | None = None, begins: str | None = None) -> None:
        super().__init__()
        self.work = work
        self.test_of = test_of
        self.begins = begins


class Context(NamedTuple):
    """One call. `now` is epoch milliseconds. `policy` keeps revocations for the longest lifetime that a token can have.

    `random` returns so many random bytes. A call that is repeated by its idempotency key gets the same ones again.
    """

    store: Store
    settings: Settings
    master: MasterKey
    secrets: Secrets
    policy: Policy
    now: int
    caller: AdminCaller
    random: Callable[[int], bytes]
    outside: Any = None

    @property
    def actor(self) -> Actor:
        """Who did it, for the audit trail."""
        return self.caller.actor

    def key(self, key_id: str, *, change: bool = False) -> ApiKey:
        """An API key that the caller may see, and with `change` one that it may change.

        Raises:
            NotFound: if there is none, or the caller must not know of it. The two look alike.
            InsufficientScope: if the caller may not change it.
        """
        key = get_key(self.store, key_id)
        if not sees(self.caller, key):
            raise no_such_key(key_id)
        if change:
            require_changeable(self.caller, key)
        return key
