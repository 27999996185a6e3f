"""Carries out operations: authorizes the caller, and does the work in one transaction.

It is synchronous and has a database connection of its own. The command calls it directly, the server in a thread of its
own, so nothing here holds up the token endpoints.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from hourpass.admin import shapes
from hourpass.admin.operations import IMPORT_KEYS, Operation
from hourpass.core.actor import Actor
from hourpass.core.admin_access import AdminCaller, caller_of, require_allowed
from hourpass.core.api_key import allows_ip, why_unusable
from hourpass.core.errors import InvalidToken, NotFound, StorageUnavailable
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, SECOND
from hourpass.server.admin.context import Context, Outside
from hourpass.server.admin.cursors import open_cursor, seal_cursor
from hourpass.server.admin.idempotency import KeyedCall, Reserved, keep, reserve
from hourpass.server.admin.key_import import ImportBatch, provider_hash, read_rows
from hourpass.server.admin.work import WORK
from hourpass.server.keys.audit_chain import chain_own_rows
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store, persist, reading, transaction
from hourpass.server.transport.request import Reply

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)
T = TypeVar("T")

TOGETHER = 100
"""Changes in one transaction: a few milliseconds, for which a server on the same SQLite file waits."""

LEFT_TO_OTHERS = 0.02
"""Seconds between two transactions of an import, at the least: about as often as a writer that waits looks."""

REPEATS = 4
"""How often a change that must be quick is made again, if its commit came too late."""

LATE_IN_A_SECOND = 800
"""Milliseconds into a second from which on a commit may come after its end."""


class AdminKeyIdentity(NamedTuple):
    """A caller who has proven an admin key. What it may do is read from the key's record in each transaction.

    `scope` is that of its access token, None if it has all scopes of the key's role. `reserved` is the call, if it came
    with an Idempotency-Key. `judge` judges the access token again, in each transaction, by what is stored there: a call
    that waits, or that goes on for long, ends with its token. It gets the store and epoch milliseconds, and raises
    InvalidToken.
    """

    key_id: str
    scope: str | None = None
    address: str | None = None
    request_id: str | None = None
    reserved: Reserved | None = None
    judge: Callable[[Store, int], object] | None = None


AdminIdentity = AdminCaller | AdminKeyIdentity


class Administration:
    """The use cases on one store. `clock` returns epoch milliseconds, `random` so many random bytes."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        master: MasterKey,
        secrets: Secrets,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self.store = store
        self._settings = settings
        self._master = master
        self._secrets = secrets
        self._clock = clock
        self._random = random
        self._next_import = 0.0
        # Another node may have a longer lifetime, so a revocation is kept for the longest possible one.
        self._policy = settings.policy()._replace(access_token_lifetime=MAX_ACCESS_TOKEN_LIFETIME)

    def call(self, operation: Operation[Q, A], asked: Q, identity: AdminIdentity) -> A:
        """Carry out one operation.

        Raises:
            InvalidToken: if the caller's key or token is not accepted any more.
            InsufficientScope: if the caller may not. Refused: what the use case raises.
            StorageUnavailable: if nothing was kept.
        """
        try:
            return self.call_once(operation, asked, identity)
        except Outside as needed:
            outside = needed.work()
        return self.call_once(operation, asked, identity, outside)

    def call_once(self, operation: Operation[Q, A], asked: Q, identity: AdminIdentity, outside: Any = None) -> A:
        """The same for a caller that does itself what must be done outside of a transaction.

        Raises:
            Outside: if something must. Call again with what its work returned. Besides what `call` raises.
        """
        [answer] = self._call_each(operation, [asked], identity, outside)
        return answer

    def try_out(self, operation: Operation[Q, A], asked: Q, identity: AdminIdentity, outside: Any = None) -> None:
        """Find out whether an operation would be done, and change nothing. Raises what `call_once` raises."""

        def attempt() -> None:
            self.store.begin(wait=True)
            self.do(self.store, operation, asked, identity, self._clock(), outside)
            self.store.rollback()

        persist(attempt, self.store.rollback)

    def call_each(self, operation: Operation[Q, A], asked: Sequence[Q], identity: AdminIdentity) -> Iterator[A]:
        """Carry out an operation several times, and yield each answer after its commit.

        If one fails, nothing is changed of those in the same transaction. Those before were yielded. A change that ends
        what was issued until now has a transaction of its own, and is made again if its commit came too late.

        Raises:
            StorageUnavailable: if the commits keep coming too late. Besides what `call` raises.
        """
        yield from self._call_each(operation, asked, identity)

    def _call_each(
        self, operation: Operation[Q, A], asked: Sequence[Q], identity: AdminIdentity, outside: Any = None
    ) -> Iterator[A]:
        at_once = any(map(is_at_once, asked))
        together = 1 if at_once else TOGETHER
        for start in range(0, len(asked), together):
            page = asked[start : start + together]
            done, in_time = self._attempt(operation, page, identity, outside, at_once=at_once)
            for _ in range(REPEATS):
                if in_time:
                    break
                page = [_without_condition(each) for each in page]
                again, in_time = self._attempt(operation, page, _admitted(identity), outside, at_once=at_once)
                done = [_of_both(first, second) for first, second in zip(done, again, strict=True)]
            if not in_time:
                raise StorageUnavailable("the database is slow: what was issued during the change may go on. Repeat it")
            yield from done

    def import_rows(self, batch: ImportBatch, identity: AdminIdentity) -> shapes.ImportedKeys:
        """Import a batch of keys in one transaction. Raises what `call_once` raises.

        Rows are read before it, and between two of them others may write for as long as the last one took. Otherwise a
        server on the same SQLite file would hardly ever find it unlocked.
        """
        hashed = None
        if batch.hmac_secret is not None:
            with reading(self.store):
                hashed = provider_hash(self.store, self._secrets, batch.hmac_secret)
        batch = read_rows(batch, hashed, self._settings.public_url())
        if not self._settings.shares_database:
            time.sleep(max(0, self._next_import - time.monotonic()))
        began = time.monotonic()
        done = self.call_once(IMPORT_KEYS._replace(reads=batch.dry_run), batch, identity)
        ended = time.monotonic()
        self._next_import = ended + max(ended - began, LEFT_TO_OTHERS)
        self.store.maintain()
        return done

    def do(
        self, store: Store, operation: Operation[Q, A], asked: Q, identity: AdminIdentity, now: int, outside: Any = None
    ) -> A:
        """Authorize the caller and do the work, in a transaction that has begun. Raises what `call_once` raises."""
        ctx = self._context(store, operation, identity, now)._replace(outside=outside)
        reserved = identity.reserved if isinstance(identity, AdminKeyIdentity) else None
        if reserved is None:
            answer: A = WORK[operation.name](ctx, open_cursor(ctx, operation, asked))
            seal_cursor(ctx, operation, asked, answer)
            return answer
        answer = WORK[operation.name](ctx._replace(random=reserved.random()), asked)
        if not is_at_once(asked):  # else the caller may need to make it again
            keep(store, reserved, answer, now)
        return answer

    def reserve(self, store: Store, call: KeyedCall, identity: AdminIdentity, now: int) -> Reserved | Reply:
        """Authorize the caller and reserve a call, or return its answer again, in a transaction that has begun.

        Raises:
            InvalidToken, InsufficientScope: as `call`. Refused: as `idempotency.reserve`.
        """
        return reserve(self._context(store, call.operation, identity, now), call)

    def authorize(self, operation: Operation[Any, Any], identity: AdminIdentity) -> None:
        """Only ask whether the caller may. Raises what `call` raises."""

        def attempt() -> None:
            with reading(self.store):
                self._context(self.store, operation, identity, self._clock())

        persist(attempt, self.store.rollback)

    def in_transaction(self, work: Callable[[Store, int], T]) -> T:
        """Do work in a transaction that writes, at an instant in epoch milliseconds. Raises StorageUnavailable."""

        def attempt() -> T:
            with transaction(self.store):
                return work(self.store, self._clock())

        return persist(attempt, self.store.rollback)

    def _context(self, store: Store, operation: Operation[Any, Any], identity: AdminIdentity, now: int) -> Context:
        caller = _caller(store, identity, now)
        require_allowed(caller, operation.scope, delegated=operation.delegated)
        return Context(store, self._settings, self._master, self._secrets, self._policy, now, caller, self._random)

    def _attempt(
        self, operation: Operation[Q, A], page: Sequence[Q], identity: AdminIdentity, outside: Any, *, at_once: bool
    ) -> tuple[list[A], bool]:
        """What became of each, and whether the commit came in time.

        From the next whole second on what is issued is good, also at a server that has not seen the change yet.
        """
        now, began = 0, 0.0

        def attempt() -> list[A]:
            nonlocal now, began
            now = self._early_in_a_second() if at_once else self._clock()
            began = time.monotonic()
            with reading(self.store) if operation.reads else transaction(self.store):
                done = [self.do(self.store, operation, each, identity, now, outside) for each in page]
                if not operation.reads:
                    chain_own_rows(self.store, self._secrets, now)
                return done

        done = persist(attempt, self.store.rollback)
        took = (time.monotonic() - began) * SECOND
        return done, not at_once or now % SECOND + took < SECOND

    def _early_in_a_second(self) -> int:
        """An instant that leaves time to commit before the next whole second: from then on tokens are good again."""
        now = self._clock()
        if now % SECOND > LATE_IN_A_SECOND:
            time.sleep((SECOND - now % SECOND) / SECOND)
            now = self._clock()
        return now


def is_at_once(asked: shapes.Asked) -> bool:
    """Whether a change ends what was issued until now, so that its commit must not come too late."""
    return bool(getattr(asked, "now", False))


def _caller(store: Store, identity: AdminIdentity, now: int) -> AdminCaller:
    if isinstance(identity, AdminCaller):
        return identity
    if identity.judge is not None:
        identity.judge(store, now)
    key = store.key(identity.key_id)
    if key is None:
        raise InvalidToken("revoked", "its key is not in the database")
    if trouble := why_unusable(key, now):
        raise InvalidToken(trouble, f"the admin key is {trouble}")
    if not allows_ip(key, identity.address):
        raise InvalidToken("address_not_allowed")
    actor = Actor(f"key:{key.key_id}", identity.address, identity.request_id)
    try:
        return caller_of(key, identity.scope, actor)
    except NotFound:
        raise InvalidToken("audience", "its key is not an admin key") from None


def _admitted(identity: AdminIdentity) -> AdminIdentity:
    """The caller of a change that is made again: it may have ended the caller's own token the first time."""
    return identity._replace(judge=None) if isinstance(identity, AdminKeyIdentity) else identity


def _without_condition(asked: Q) -> Q:
    """What is asked again after it was done once: it is not as it was read any more, because of that."""
    return msgspec.structs.replace(asked, if_match=None) if hasattr(asked, "if_match") else asked


def _of_both(first: Any, second: Any) -> Any:
    """The answer of a change that was made twice: the second time it may have found everything done."""
    return first if isinstance(first, shapes.Changed) and first.changed else second
