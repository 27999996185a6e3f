"""When keys were last used: counted in memory, and kept in the database every half a minute.

A use costs its request a look-up in a dict and no more. If the process is killed, the last half a minute of this may
be lost, and nothing else.
"""

import asyncio

from hourpass.core.address import pack_address
from hourpass.core.api_key import UseKind
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store.key_uses import KeyUse

TOGETHER = 1_000
"""Uses in one transaction: a few milliseconds, for which refreshes wait."""


class UseKeeper:
    """What one node has seen and not kept yet: for each kind and key the last instant and address.

    There are never more of them than keys. `seen` is open, because each exchange and refresh pays for every call: for
    each kind of use, the instant and the address of the last one, by the key's id.
    """

    def __init__(self, ledger: Ledger, *, together: int = TOGETHER) -> None:
        self._ledger = ledger
        self._together = together
        self.seen = _nothing_seen()

    async def keep(self) -> None:
        """Write what was seen since the last time. What could not be written is written the next time.

        Raises:
            StorageUnavailable.
        """
        seen, self.seen = self.seen, _nothing_seen()
        uses = [
            KeyUse(key_id, kind, at, pack_address(address))
            for kind, keys in seen.items()
            for key_id, (at, address) in keys.items()
        ]
        try:
            for start in range(0, len(uses), self._together):
                page = uses[start : start + self._together]
                await self._ledger.run(lambda store: store.keep_uses(page))  # noqa: B023
                await asyncio.sleep(0)
        except BaseException:
            for kind, keys in seen.items():
                for key_id, use in keys.items():
                    self.seen[kind].setdefault(key_id, use)
            raise


def _nothing_seen() -> dict[UseKind, dict[str, tuple[int, str | None]]]:
    return {"exchanged": {}, "refreshed": {}, "raw": {}}
