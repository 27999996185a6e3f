"""Whether the database takes writes. Only a write tells: reads go on if none can be kept.

After a full disk only a write that takes space tells.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hourpass.core.errors import StorageUnavailable
from hourpass.server.store import Store
from hourpass.server.store.connection import DiskFull, TransactionConflict

PROOF_LASTS = 10.0
"""Seconds for which a write that was kept shows that the database takes writes."""

PROOF_PAUSE = 1.0
"""Seconds between two tries of a database that takes none."""


class Writability:
    """What the last write showed. `run` runs work in a transaction that writes, and `timer` returns seconds."""

    def __init__(
        self, run: Callable[[Callable[[Store], None]], "asyncio.Future[None]"], timer: Callable[[], float]
    ) -> None:
        self._run = run
        self._timer = timer
        self._wrote_at = -PROOF_LASTS
        self._refused_at = -PROOF_PAUSE
        self._refused: StorageUnavailable | None = None
        self._full = False
        self._proof: asyncio.Future[None] | None = None
        self._proves_room = False

    @property
    def is_good(self) -> bool:
        """Whether the last write was kept."""
        return self._refused is None

    async def require(self) -> None:
        """Raises StorageUnavailable if the last write was not kept, or was long ago and another one is not kept now."""
        now = self._timer()
        if self._refused is not None and now - self._refused_at < PROOF_PAUSE:
            raise self._refused
        if self._refused is None and now - self._wrote_at < PROOF_LASTS:
            return
        if self._proof is None or self._proof.done():
            self._proves_room = needs_room = self._full
            self._proof = self._run(lambda store: store.prove_room() if needs_room else store.prove_writable())
        await asyncio.shield(self._proof)
        if self._proves_room:
            self._full, self._refused = False, None

    def note(self, error: BaseException | None) -> None:
        """A write was kept, or it failed."""
        if error is None:
            self._wrote_at = self._timer()
            # On a full disk what fits into the pages that are there is kept, and what needs a new one is not.
            if not self._full:
                self._refused = None
        elif isinstance(error, StorageUnavailable) and not isinstance(error, TransactionConflict):
            self._refused_at, self._refused = self._timer(), error
            self._full = self._full or isinstance(error, DiskFull)

    def note_write(self, written: "asyncio.Future[Any]") -> None:
        """The same, of a write that has ended."""
        if not written.cancelled():
            self.note(written.exception())
