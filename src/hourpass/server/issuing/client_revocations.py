"""Revocations that clients ask for. Each one is an entry for every verifier and a line of the audit trail.

So they are limited for each key, a grant can have only a few of them, and asking twice costs nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine

from hourpass.core.actor import Actor
from hourpass.core.claims import Claims
from hourpass.core.grant import Grant, GrantRef
from hourpass.core.policy import LEEWAY, Policy
from hourpass.core.revocation import Revocation, RevokedTokens, token_until
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.issuing.verification import Verification
from hourpass.server.keys.api_keys import revoke_grant, revoke_token
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import Store

EXCHANGES_FOR_ONE = 10
"""A key may revoke a tenth as often as it may exchange: most grants just expire, and each entry lives for an hour."""


class ClientRevocations:
    """Revokes tokens and grants for clients. `timer` returns the milliseconds of a clock that nobody can set."""

    def __init__(
        self,
        ledger: Ledger,
        verification: Verification,
        policy: Policy,
        exchange_limit: int,
        timer: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._verification = verification
        self._policy = policy
        self._timer = timer
        self._throttle = Throttle(max(1, exchange_limit // EXCHANGES_FOR_ONE) if exchange_limit else 0)
        self._tokens = RevokedTokens()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def end_token(self, claims: Claims, address: str | None, now: int) -> None:
        """Revoke a verified access token, or its grant if too many of the grant's tokens are revoked already.

        Raises:
            Throttled: if the key revokes too often.
            StorageUnavailable: if nothing was kept.
        """
        by = Actor("client", address)

        def end_alone(store: Store) -> Revocation | None:
            return revoke_token(store, claims, now, actor=by)

        def end_all(store: Store) -> Revocation | None:
            ref = GrantRef(claims.client_id, bytes.fromhex(claims.sid))
            grant = store.grants([ref]).get(ref)
            if grant is None:
                return end_alone(store)  # the grant was closed or pruned, and gives no more tokens
            return revoke_grant(store, grant, now, self._policy, actor=by, token=True)

        def begin() -> Coroutine[None, None, None]:
            alone = self._tokens.may_end_alone(claims.sid, claims.jti, token_until(claims.exp, LEEWAY), now)
            return self._carry_out(end_alone if alone else end_all, now)

        await self._once(claims.jti, claims.client_id, begin)

    async def end_grant(self, grant: Grant, address: str | None, now: int) -> None:
        """Revoke the grant of a proven refresh token. Raises what `end_token` raises."""
        if grant.revoked_at is not None:
            return
        by = Actor("client", address)

        def work(store: Store) -> Revocation | None:
            return revoke_grant(store, grant, now, self._policy, actor=by, token=True)

        await self._once(grant.grant_id.hex(), grant.key_id, lambda: self._carry_out(work, now))

    def prune(self, now: int) -> None:
        """Forget tokens that have expired."""
        self._tokens.prune(now)

    async def _carry_out(self, work: Callable[[Store], Revocation | None], now: int) -> None:
        self._verification.revoked(await self._ledger.run(work), now)

    async def _once(self, name: str, key_id: str, begin: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin something that has a name, or wait for it if it is under way already."""
        task = self._under_way.get(name)
        if task is None:
            self._throttle.admit(key_id, self._timer())
            task = self._under_way[name] = asyncio.get_running_loop().create_task(begin())
            task.add_done_callback(lambda done: self._forget(name, done))
        await asyncio.shield(task)

    def _forget(self, name: str, done: asyncio.Task[None]) -> None:
        del self._under_way[name]
        if not done.cancelled():
            done.exception()  # the caller may have left, and asyncio warns if nobody reads it
