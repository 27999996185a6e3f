"""When an API key was last used, how, and from which address."""

from collections.abc import Mapping
from typing import NamedTuple

from hourpass.core.api_key import UseKind


class LastUse(NamedTuple):
    """The last use of one kind. `at` is epoch milliseconds, and the address is None if it was not known."""

    at: int
    address: str | None


LastUses = Mapping[UseKind, LastUse]
"""The last use of each kind that there ever was."""


def latest(uses: LastUses) -> tuple[UseKind, LastUse] | None:
    """The last use of any kind; None for a key that was never used."""
    return max(uses.items(), key=lambda use: use[1].at, default=None)
