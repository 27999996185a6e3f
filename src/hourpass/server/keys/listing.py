"""Pages of API keys and of grants, for lists that may be long.

The store narrows a search, and the rules in `core/` decide about each row that comes back. Each function works inside
one transaction of a store.
"""

from collections.abc import Iterator
from typing import NamedTuple

from hourpass.core.api_key import ApiKey
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUses
from hourpass.server.store import Store

MAX_PAGE = 200
"""The most rows of a page that a caller may ask for."""

TOGETHER = 500
"""How many more keys are read at once, if the filter has not taken enough of those that the store found."""


class KeysPage(NamedTuple):
    """Some keys with their last uses, in the order of their ids. `next` is the id to go on after, None at the end."""

    keys: list[tuple[ApiKey, LastUses]]
    next: str | None


def keys_page(store: Store, wanted: KeyFilter, now: int, after: str = "", limit: int = MAX_PAGE) -> KeysPage:
    """The next keys after an id that a filter takes. `now` is epoch milliseconds."""
    found: list[tuple[ApiKey, LastUses]] = []
    together = limit + 1
    while len(found) <= limit:
        ids = store.find_keys(wanted, now, after, together)
        keys, uses = store.keys_of_ids(ids), store.uses_of_keys(ids)
        both = [(keys[key_id], uses.get(key_id, {})) for key_id in ids if key_id in keys]
        found += [each for each in both if wanted.takes(each[0], now, each[1])]
        if len(ids) < together:
            break
        after, together = ids[-1], TOGETHER
    more = len(found) > limit
    return KeysPage(found[:limit], found[limit - 1][0].key_id if more else None)


def find_keys(store: Store, wanted: KeyFilter, now: int) -> Iterator[tuple[ApiKey, LastUses]]:
    """Every key that a filter takes, with its last uses, in the order of their ids."""
    after: str | None = ""
    while after is not None:
        page = keys_page(store, wanted, now, after, TOGETHER)
        yield from page.keys
        after = page.next
