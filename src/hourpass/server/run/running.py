"""The composition root: it makes a running node from settings, clock and environment."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from platform import python_version
from typing import cast

from filelock import FileLock, Timeout

from hourpass import __version__
from hourpass.core.errors import ConfigurationError, Refused, Unavailable
from hourpass.core.policy import SECOND
from hourpass.ownership import own_lock
from hourpass.server.clock.timekeeping import Timekeeper
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.verification import Verification
from hourpass.server.keys.signing_keys import SigningKeys
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.run.background import UNAVAILABLE, Background
from hourpass.server.run.gauges import gauges, webhook_gauges
from hourpass.server.run.open import data_flags, make_data_folder, open_secrets, open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store import SharedStore
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.tally import Meter, Tally
from hourpass.server.webhooks.deliverer import Deliverer

CONNECTIONS = 2
"""How many connections to open to a shared database. Two batches at a time keep its disk and this process busy."""

log = logging.getLogger("hourpass")


class Running:
    """Everything that lives from the start to the stop of the application, and its counts.

    `data_flags` are the flags with which a command finds its data folder. Requests may have waited for it since
    `waiting_since`, by the boot clock. After the start, `database` is the name of the store, and `made` is the file of
    the master key if it was made now.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Callable[[], int],
        limited: LimitedLog | None = None,
        tally: Tally | None = None,
        number: int = 0,
        waiting_since: int | None = None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self.data_flags = data_flags(settings, environ)
        self._clock = clock
        self._tally = tally or Tally()
        self.counts = self._tally.counts(number)
        self.meter = Meter(self.counts)
        self._limited = limited or LimitedLog(log, time.monotonic)
        window, shared = settings.policy().retry_window, settings.shares_database
        self.time = Timekeeper(clock, window, self._limited, shared=shared, waiting_since=waiting_since)
        self._lock: FileLock | None = None

    async def start(self) -> Issuer:
        """Open the database and the ledger, and begin the background work.

        Raises:
            ConfigurationError: if a setting, the folder or the database cannot be used.
            StorageUnavailable: if the database fails.
        """
        settings = self._settings
        make_data_folder(settings)
        if not settings.shares_database:
            self._lock = own_lock(Path(settings.data) / "serve.lock")
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise ConfigurationError(f"another hourpass server runs on the data folder {settings.data}") from None
        store = open_store(settings)
        self._stores = [store]
        try:
            if settings.shares_database:
                self._stores += [open_store(settings) for _ in range(CONNECTIONS - 1)]
            self.database = store.name
            self.time.begin(store)
            now = self._clock()
            master, secrets = open_secrets(store, settings, self._environ, now, serving=True)
            self.made = master.made
            for caution in store.cautions():
                log.warning("the database is not supported", extra={"detail": caution})
            if newer := store.newer_migrations():
                log.info("the database is newer than this program", extra={"migrations": newer})
            store.begin_reading()
            signing_keys = SigningKeys(store.signing_keys(), master, settings.policy())
            numbered_since = cast("SharedStore", store).numbered_since() if settings.shares_database else None
            store.commit()
            self._ledger = Ledger(
                store,
                settings.policy(),
                remote=settings.shares_database,
                others=self._stores[1:],
                stalls=self.time.stalls,
                absences=self.time.absences,
                counts=self.counts,
            )
            verification = Verification(
                settings, self._ledger, signing_keys, secrets, now, time=self.time, numbered_since=numbered_since
            )
            try:
                await verification.observe(now)
                issuer = Issuer(settings, self._ledger, secrets, verification, self.counts, self.time.timer)
            except BaseException:
                await self._ledger.close()
                raise
        except BaseException:
            self._let_go()
            raise
        own = None if settings.shares_database else store
        self.meter.values |= gauges(
            settings, self.time, self._ledger, verification, issuer.storage_checks, issuer.audit_chaining
        )
        self.meter.totals["stalls"] = lambda: self.time.stalled
        self.meter.measure()
        webhooks = Deliverer(
            self._ledger,
            master,
            self.time.clock,
            self.counts,
            shared=settings.shares_database,
            allow_private=settings.webhook_allow_private,
        )
        self.meter.values |= webhook_gauges(webhooks)
        kept = None if settings.audit_retention == "off" else settings.audit_retention * SECOND
        self.background = Background(issuer, self._ledger, own, self.time, self._limited, self.meter, webhooks, kept)
        self.background.start()
        return issuer

    def metrics(self) -> bytes:
        """The metrics of all workers, with those of this one as they are now."""
        self.meter.measure()
        kind = "postgresql" if self._settings.shares_database else "sqlite"
        return self._tally.render({"version": __version__, "python": python_version(), "database": kind})

    async def stop(self) -> None:
        """Finish the work under way, and close the database."""
        await self.background.stop()
        await self._ledger.close()
        self._let_go()

    def _let_go(self) -> None:
        for store in self._stores:
            store.close()
        if self._lock is not None:
            self._lock.release()

    def report(self, path: str, error: Exception) -> None:
        """Log an error that the operator must see. A refusal is the caller's business, so it is not logged."""
        if isinstance(error, Unavailable):
            self.counts.add("unavailable")
            self._limited.trouble(UNAVAILABLE, path=path, detail=error.detail)
        elif not isinstance(error, Refused):
            self.counts.add("failure")
            self._limited.trouble("failed", level=logging.ERROR, error=error, path=path)
