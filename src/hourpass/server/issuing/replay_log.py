"""The line in the log for each replay, which is the theft signal. It folds as the audit trail does."""

import logging

from hourpass.core.actor import Actor
from hourpass.core.audit import Folded
from hourpass.core.audit_folding import Folding
from hourpass.core.grant import GrantRef
from hourpass.core.grant_events import GrantReplayed

SAID = "a refresh token was replayed"

log = logging.getLogger("hourpass")


class ReplayLog:
    """The replays that one process saw. Belongs to one event loop."""

    def __init__(self) -> None:
        self._folding = Folding()

    def tell(self, ref: GrantRef, address: str | None, now: int) -> None:
        """A replay ended a grant."""
        event = GrantReplayed(ref.grant_id.hex(), ref.key_id, 0, 0, Actor("client", address))
        admitted = self._folding.admit(now, event)
        if admitted is None or admitted.line:
            facts = {"key_id": event.key_id, "grant_id": event.grant_id, "address": address}
            log.warning(SAID, extra=facts)

    def look(self, now: int, *, leaving: bool = False) -> None:
        """Say how many replays had no line in the hours that are over. With `leaving`, in all of them."""
        counts = self._folding.counts(now, leaving=leaving)
        for each in counts:
            if isinstance(each, Folded):
                log.warning(SAID, extra={"key_id": each.key_id, "times": each.times})
        self._folding.wrote(counts)
