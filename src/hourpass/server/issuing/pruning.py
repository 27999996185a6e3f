"""Deletes what says nothing any more: grants after their end, and revocations whose tokens have expired."""

from typing import NamedTuple

from hourpass.core.grant import GrantRef
from hourpass.core.grant_room import is_prunable
from hourpass.server.issuing.client_revocations import ClientRevocations
from hourpass.server.issuing.verification import Verification
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import Store
from hourpass.server.telemetry.counts import Counts

PRUNE_PAGE = 500
"""How many grants one transaction of pruning reads. They take about a millisecond of the ledger's time."""


class Pruned(NamedTuple):
    """Where a walk over the grants goes on, None at its end, and how many of those just passed can refresh."""

    after: GrantRef | None
    in_use: int


class Pruning:
    """Prunes the database, and what this process remembers of it. `now` is epoch milliseconds."""

    def __init__(
        self, ledger: Ledger, verification: Verification, client_revocations: ClientRevocations, counts: Counts
    ) -> None:
        self._ledger = ledger
        self._verification = verification
        self._client_revocations = client_revocations
        self._counts = counts

    async def prune(self, after: GrantRef, now: int) -> Pruned:
        """Delete the prunable ones among the next grants."""

        def work(store: Store) -> tuple[Pruned, int]:
            page = store.expiries_page(after, PRUNE_PAGE)
            over = [row.ref for row in page if is_prunable(row.idle_expires_at, row.expires_at, row.revoked_at, now)]
            store.delete_grants(over)
            in_use = store.count_grants_in_use(now, after, page[-1].ref) if page else 0
            return Pruned(page[-1].ref if len(page) == PRUNE_PAGE else None, in_use), len(over)

        done, pruned = await self._ledger.run(work)
        self._counts.add("grants_pruned", pruned)
        if done.after is None:
            await self._ledger.run(lambda store: store.prune_revocations(now))
            self.forget_expired(now)
        return done

    def forget_expired(self, now: int) -> None:
        """Forget revocations whose tokens have expired, and count grants again."""
        self._verification.prune(now)
        self._client_revocations.prune(now)
        self._ledger.recount()
