"""The administration inside a running node: in threads and on database connections of its own.

So a list of a hundred thousand keys holds up no token. Work that may take seconds has a thread for itself, so that it
holds up no other call. A database in memory has one connection, so there the ledger's thread does the work.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from hourpass.admin import shapes
from hourpass.admin.operations import VERIFY_AUDIT, Operation
from hourpass.core.actor import SERVER
from hourpass.core.admin_access import owner
from hourpass.core.errors import HourpassError, Refused, StorageUnavailable, Throttled, as_trouble
from hourpass.server.admin.administration import AdminIdentity, Administration, AdminKeyIdentity, is_at_once
from hourpass.server.admin.context import Outside
from hourpass.server.admin.idempotency import KeyedCall, keep, keep_refusal
from hourpass.server.admin.key_import import ImportBatch
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.together import Together
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.run.admin_calls import AdminCalls
from hourpass.server.run.admin_network import AdminNetwork
from hourpass.server.run.open import open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store
from hourpass.server.transport.request import Reply

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)
T = TypeVar("T")

MOST_WAITING = 64
"""Calls that may wait for the thread. One more is refused, because it would only wait longer."""


MOST_OF_ONE = 8
"""Calls of one caller that may wait for the thread. Further ones wait before that, where they take nobody's place."""


class _Gate:
    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(MOST_OF_ONE)
        self.users = 0


class _Places:
    """Lets so many calls of each caller in at a time."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}

    @contextlib.asynccontextmanager
    async def of(self, caller: str) -> AsyncIterator[None]:
        gate = self._gates.setdefault(caller, _Gate())
        gate.users += 1
        try:
            async with gate.turns:
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[caller]


class _Lane:
    """A thread with a database connection, which is opened when it is first needed."""

    def __init__(self, name: str, settings: Settings, on: Callable[[Store], Administration]) -> None:
        self._settings = settings
        self._on = on
        self._thread = ThreadPoolExecutor(1, name)
        self._administration: Administration | None = None
        self._store: Store | None = None
        self._waiting = 0
        self._places = _Places()

    async def run(self, caller: str, work: Callable[[Administration], T]) -> T:
        """Do work of a caller in the thread. Raises StorageUnavailable if too much work waits."""
        async with self._places.of(caller):
            if self._waiting >= MOST_WAITING:
                raise StorageUnavailable("too many calls of the administration wait")
            self._waiting += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)
            finally:
                self._waiting -= 1

    def _do(self, work: Callable[[Administration], T]) -> T:
        if self._administration is None:
            self._store = open_store(self._settings, create=False, small=True)
            self._administration = self._on(self._store)
        return work(self._administration)

    async def close(self) -> None:
        """Finish the work under way, and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()


class _LedgerLane:
    """The ledger's thread, for a database in memory."""

    def __init__(self, ledger: Ledger, on: Callable[[Store], Administration]) -> None:
        self._ledger = ledger
        self._on = on

    async def run(self, caller: str, work: Callable[[Administration], T]) -> T:
        """Do work in the thread."""
        return await self._ledger.lend(lambda store: work(self._on(store)))

    async def close(self) -> None:
        """The ledger closes its connection itself."""


class TakesLong(Exception):
    """Raised by a page that needs the answer of a long operation: everybody who asks for it shares one pass."""

    def __init__(self, operation: Operation[Any, Any], asked: Any, identity: AdminIdentity) -> None:
        super().__init__(operation.name)
        self.asked = (operation, asked, identity)


class AdminWork:
    """Carries out operations for the admin API and the console. `clock` returns epoch milliseconds."""

    def __init__(self, settings: Settings, issuer: Issuer, clock: Callable[[], int]) -> None:
        self._settings = settings
        self._issuer = issuer
        self._clock = clock
        in_memory = _LedgerLane(issuer.ledger, self._on) if (settings.database_url or "").endswith(":memory:") else None
        self._quick = in_memory or _Lane("hourpass-admin", settings, self._on)
        self._long = in_memory or _Lane("hourpass-admin-long", settings, self._on)
        # The only long operation. Every caller who may ask gets the same answer, so one pass answers all of them.
        self._verifying = Together(self._verify)
        self._network = AdminNetwork()
        self._slow_places = _Places()
        self.calls = AdminCalls(settings.admin_limit)

    async def call(self, operation: Operation[Q, A], asked: Q, identity: AdminIdentity) -> A:
        """Carry out an operation. What it changed is in force on this node when it returns.

        Raises:
            StorageUnavailable: if too many calls wait.
            Throttled: if too many calls wait for other hosts. Besides what `Administration.call` raises.
        """
        if operation.long:
            name = caller_name(identity)
            await self._quick.run(name, lambda desk: desk.authorize(operation, identity))
            return cast("A", await self._verifying(self._clock()))
        try:
            answer = await self._once(operation, asked, identity, None)
        except Outside as needed:
            outside = await self._do_outside(caller_name(identity), needed)
            answer = await self._once(operation, asked, identity, outside)
        if not operation.reads:
            await self._issuer.verification.observe(self._clock())
        return answer

    async def _verify(self, now: int) -> shapes.VerifiedAudit:
        return await self._once(VERIFY_AUDIT, shapes.Nothing(), owner(SERVER), None)

    async def call_once(self, call: KeyedCall, identity: AdminKeyIdentity) -> Reply:
        """Carry out a call that came with an Idempotency-Key, or answer it as before.

        Raises:
            KeyReused, CallUnderWay, AnswerGone: as `idempotency.reserve`. Besides what `call` raises.
        """
        reserved = await self._transact(identity, lambda desk, store, now: desk.reserve(store, call, identity, now))
        if isinstance(reserved, Reply):
            return reserved
        try:
            answer = await self.call(call.operation, call.asked, identity._replace(reserved=reserved))
            if is_at_once(call.asked):
                await self._transact(identity, lambda _, store, now: keep(store, reserved, answer, now))
        except Exception as error:
            trouble = as_trouble(error)
            # If that fails too, the reservation ends by itself.
            with contextlib.suppress(HourpassError):
                await self._transact(identity, lambda _, store, now: keep_refusal(store, reserved, trouble, now))
            raise
        return call.tell(answer)

    async def _transact(self, identity: AdminIdentity, work: Callable[[Administration, Store, int], T]) -> T:
        return await self.in_thread(
            caller_name(identity), lambda desk: desk.in_transaction(lambda *at: work(desk, *at))
        )

    async def import_rows(self, batch: ImportBatch, identity: AdminIdentity) -> shapes.ImportedKeys:
        """Import a batch of keys in one transaction. A running server accepts its keys within a second."""
        return await self.in_thread(caller_name(identity), lambda desk: desk.import_rows(batch, identity))

    async def _once(self, operation: Operation[Q, A], asked: Q, identity: AdminIdentity, outside: Any) -> A:
        lane = self._long if operation.long else self._quick
        caller = caller_name(identity)
        return await lane.run(caller, lambda desk: desk.call_once(operation, asked, identity, outside))

    async def page(self, caller: str, work: Callable[[Administration, Any], T], *, long: bool = False) -> T:
        """Do work of a caller in the thread. With `long` it may take seconds, and has the thread for such work.

        The work gets None. If it needs something outside of a transaction, or the answer of a long operation, that is
        done, and the work is done again: it gets what came of that, which may be a refusal.

        Raises:
            StorageUnavailable: if too many calls wait. Throttled: if too many calls wait for other hosts.
        """
        lane = self._long if long else self._quick
        try:
            return await lane.run(caller, lambda desk: work(desk, None))
        except Outside as needed:
            outside = await self._outcome(caller, needed)
        except TakesLong as needed:
            outside = await self.call(*needed.asked)
        return await lane.run(caller, lambda desk: work(desk, outside))

    async def in_thread(self, caller: str, work: Callable[[Administration], T]) -> T:
        """Do work of a caller in the administration's thread. Raises StorageUnavailable if too much work waits."""
        return await self._quick.run(caller, work)

    def _on(self, store: Store) -> Administration:
        secrets = self._issuer.secrets
        return Administration(store, self._settings, secrets.master, secrets, self._clock, os.urandom)

    async def close(self) -> None:
        """Finish the work under way, and close the connections."""
        await self._quick.close()
        await self._long.close()
        self._network.close()

    async def _do_outside(self, caller: str, needed: Outside) -> Any:
        """Not in the thread of the administration, where everybody would wait for a network or a slow hash."""
        if needed.begins is None:
            return await self._network.do(needed)
        async with self._slow_places.of(caller):  # the others' proofs wait in the same queue
            return await self._issuer.authentication.check_slowly(needed.begins, caller, needed.work)

    async def _outcome(self, caller: str, needed: Outside) -> Any:
        """What its work returned, or the refusal that it raised: a page shows that beside its form."""
        try:
            return await self._do_outside(caller, needed)
        except Throttled:
            raise
        except Refused as error:
            return error


def caller_name(identity: AdminIdentity) -> str:
    """The name by which a caller is limited: that in the audit trail, so it is the same in the API and the console."""
    return f"key:{identity.key_id}" if isinstance(identity, AdminKeyIdentity) else identity.actor.name
