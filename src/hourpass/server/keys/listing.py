"""Pages of API keys and of grants, for lists that may be long.

The store narrows a search, and the rules in `core/` decide about each row that comes back. Each function works inside
one transaction of a store.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hourpass.core.api_key import ApiKey
from hourpass.core.grant import Grant, GrantRef, state_of
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUses
from hourpass.server.store import Store
from hourpass.server.store.grants import FIRST_GRANT, GrantSearch

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


DISTANCE = 50_000
"""How many grants one page looks at. A state that few of a million grants have is found in several pages."""


class GrantsPage(NamedTuple):
    """Some grants with their states, in the order of their keys and ids.

    It may have fewer than were asked for, even none, before the end. `next` is where to go on after, None at the end.
    """

    grants: list[tuple[Grant, str]]
    next: GrantRef | None


def grants_page(
    store: Store,
    now: int,
    *,
    key_id: str | None = None,
    state: str | None = None,
    refresh_since: int = 0,
    after: GrantRef = FIRST_GRANT,
    limit: int = MAX_PAGE,
    distance: int = DISTANCE,
) -> GrantsPage:
    """The next grants of one key or of all, in a state as `state_of` names it, or in any.

    `now` is epoch milliseconds, and `refresh_since` is when the oldest refresh secret was made. With `key_id`, `after`
    may be a grant of that key, or `FIRST_GRANT`.
    """
    if key_id is not None and after == FIRST_GRANT:
        after = GrantRef(key_id, b"")
    together = max(limit + 1, TOGETHER)
    candidates = store.find_grants(GrantSearch(now, distance, state, key_id), after, together)
    keys = store.keys_of_ids(list({grant.key_id for grant in candidates}))
    states = [(grant, state_of(grant, keys.get(grant.key_id), now, refresh_since)) for grant in candidates]
    found = [each for each in states if state in {None, each[1]}]
    if len(found) > limit:
        return GrantsPage(found[:limit], found[limit - 1][0].ref)
    if len(candidates) == together:
        return GrantsPage(found, candidates[-1].ref)
    return GrantsPage(found, store.grant_after(after, distance, key_id))


def grants_of_keys(
    store: Store,
    now: int,
    key_ids: Iterable[str],
    *,
    state: str | None = None,
    refresh_since: int = 0,
    after: GrantRef = FIRST_GRANT,
    limit: int = MAX_PAGE,
    distance: int = DISTANCE,
) -> GrantsPage:
    """The same for some keys, in the order of their ids. Those of other keys are not even read.

    The page looks at `distance` grants of all these keys together.
    """
    found: list[tuple[Grant, str]] = []
    for key_id in key_ids:
        start = after if after.key_id == key_id else GrantRef(key_id, b"")
        if len(found) == limit or distance <= 0:
            return GrantsPage(found, start)
        page = grants_page(
            store,
            now,
            key_id=key_id,
            state=state,
            refresh_since=refresh_since,
            after=start,
            limit=limit - len(found),
            distance=distance,
        )
        found += page.grants
        if page.next is not None:
            return GrantsPage(found, page.next)
        distance -= store.count_grants_after(start, distance, key_id)
    return GrantsPage(found, None)
