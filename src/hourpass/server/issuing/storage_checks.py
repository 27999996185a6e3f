"""Whether the database can be worked with: it has every migration that this program needs, and takes writes."""

from hourpass.core.errors import ConfigurationError, StorageUnavailable
from hourpass.server.issuing.together import Together
from hourpass.server.ledger.ledger import Ledger


class StorageChecks:
    """The checks of readiness that ask the database. `pending` is how many migrations it lacked at the last look."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._together = Together(self._check)
        self.pending = 0

    async def __call__(self, now: int) -> dict[str, str]:
        """The checks by name, each with `ok` or with what is wrong."""
        return await self._together(now)

    async def look(self) -> None:
        """Look which migrations the database has.

        Raises:
            StorageUnavailable: if it cannot be asked.
        """
        try:
            self.pending = await self._ledger.read(lambda store: len(store.pending_migrations()))
        except ConfigurationError:
            # A newer program has migrated. This one runs on until it is replaced, but could not start again.
            self.pending = 0

    async def _check(self, now: int) -> dict[str, str]:
        checks = {"database": "ok", "migrations": "ok"}
        try:
            await self.look()
            if self.pending:
                checks["migrations"] = f"{self.pending} pending"
            await self._ledger.require_writable()
        except StorageUnavailable:
            checks["database"] = "unavailable"
        return checks
