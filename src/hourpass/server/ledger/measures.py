"""What is measured of the ledger's transactions: a few additions for each batch, none for a request."""

from hourpass.core.errors import StorageUnavailable
from hourpass.core.policy import SECOND
from hourpass.server.store.connection import DiskFull, TransactionConflict, Unreachable
from hourpass.server.telemetry.counts import Counts

_KINDS = {DiskFull: "store_full", Unreachable: "store_unreachable", TransactionConflict: "store_conflict"}


class Measures:
    """Puts what it is told into `counts`."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def begins(self, batch: int, waited: int) -> None:
        """A transaction for so many requests begins. The first of them has waited for so many milliseconds."""
        self._counts.observe("hourpass_ledger_batch_size", batch)
        self._counts.observe("hourpass_ledger_queue_seconds", waited / SECOND)

    def committed(self, seconds: float) -> None:
        """The commit of a batch took so long."""
        self._counts.observe("hourpass_ledger_commit_seconds", seconds)

    def failed(self, error: object) -> None:
        """What became of a transaction, if it is an error of the database."""
        if isinstance(error, StorageUnavailable):
            self._counts.add(_KINDS.get(type(error), "store_other"))
