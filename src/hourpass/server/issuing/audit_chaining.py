"""Chains what was written to the audit trail, a little later, so that no write waits for the chain."""

import asyncio
import random
from collections.abc import Callable

from hourpass.core.audit_chain import ChainBroken
from hourpass.core.policy import SECOND
from hourpass.server.keys.audit_chain import FIRST_NUMBER, chain_rows, chain_state
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.ledger.ledger import Ledger


class AuditChaining:
    """The chain as one node sees it and carries it on. `timer` returns milliseconds and never steps back."""

    def __init__(self, ledger: Ledger, secrets: Secrets, timer: Callable[[], int]) -> None:
        self._ledger = ledger
        self._secrets = secrets
        self._timer = timer
        self._head = FIRST_NUMBER
        self._awaited = FIRST_NUMBER
        self._since: int | None = None

    @property
    def behind(self) -> float:
        """For how many seconds this node has waited for a row to be chained. 0 if it waits for none."""
        return 0.0 if self._since is None else (self._timer() - self._since) / SECOND

    async def look(self, now: int) -> bool:
        """Whether there is something to chain. Rows from before the chain began may take their time.

        Raises:
            ChainBroken: if the chain ends earlier than it did. The next look takes that as it is.
        """
        state = await self._ledger.read(lambda store: chain_state(store, self._secrets, now))
        before, self._head = self._head, state.head_n
        if state.head_n >= self._awaited:
            self._since = None
        if self._since is None and max(state.head_n, state.began_n) < state.last:
            self._since, self._awaited = self._timer(), state.last
        if state.head_n < before:
            raise ChainBroken(
                f"the chain of the audit trail ended at line {before}, and ends at line {state.head_n} now"
            )
        return state.is_behind

    async def chain(self, now: int, until: int | None = None) -> None:
        """Chain everything that is not chained yet, in small transactions. After `until`, by the timer, begin no more.

        Raises:
            ChainBroken: if somebody has tampered with the trail, so that the chain cannot go on.
            StorageUnavailable: if the database fails.
        """
        while await self._ledger.run(lambda store: chain_rows(store, self._secrets, now)):
            if until is not None and self._timer() >= until:
                return
            await asyncio.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - jitter, not a secret
