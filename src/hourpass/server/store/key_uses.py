"""When API keys were last used, in a database."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hourpass.core.address import unpack_address
from hourpass.core.api_key import UseKind
from hourpass.core.last_use import LastUse
from hourpass.server.store.connection import DatabaseConnection, Row


class KeyUse(NamedTuple):
    """When a key was last used in one way. `at` is epoch milliseconds, the address 4 or 16 bytes."""

    key_id: str
    kind: UseKind
    at: int
    address: bytes | None


class KeyUseStore(DatabaseConnection):
    """What is asked about the last uses of API keys."""

    @abstractmethod
    def keep_uses(self, uses: Sequence[KeyUse]) -> None:
        """Note when keys were last used, each unless a later use is known. No other process is told."""

    @abstractmethod
    def uses_of_keys(self, key_ids: Sequence[str]) -> dict[str, dict[UseKind, LastUse]]:
        """The last uses of these keys. A key that was never used is missing."""


def read_uses(rows: Iterable[Row]) -> dict[str, dict[UseKind, LastUse]]:
    """The last uses of keys from the columns of `KeyUse`."""
    uses: dict[str, dict[UseKind, LastUse]] = {}
    for key_id, kind, at, address in rows:
        uses.setdefault(key_id, {})[kind] = LastUse(at, None if address is None else unpack_address(address))
    return uses
