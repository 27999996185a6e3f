"""Pages of published events for all webhooks of a node. Webhooks that are equally far share one read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from hourpass.server.ledger.news import News
from hourpass.server.store import Store
from hourpass.server.webhooks.events import EventPage, events_after

KEPT = 8
"""How many pages are kept until the next news. Webhooks that fail are at different places."""

PAGE = 100
"""How many events a page has at most."""


class SeenPage(NamedTuple):
    """A page of events, and the revisions of all webhooks at the moment that it shows, by their ids.

    A webhook of another revision must not pass over these events: they may be wanted by now.
    """

    page: EventPage
    revisions: dict[str, int]


class EventReader:
    """Reads pages by the ledger's `read`. Belongs to one event loop."""

    def __init__(self, read: Callable[[Callable[[Store], Any]], Awaitable[Any]], news: News) -> None:
        self._read = read
        self._news = news
        self._pages: dict[int, asyncio.Task[SeenPage]] = {}
        self._as_of = 0

    async def after(self, number: int) -> SeenPage:
        """The page after a number.

        Raises:
            StorageUnavailable: if the database cannot be read.
        """
        if self._as_of != self._news.last or len(self._pages) >= KEPT:
            self._pages, self._as_of = {}, self._news.last
        page = self._pages.get(number)
        if page is None or (page.done() and page.exception() is not None):
            page = self._pages[number] = asyncio.ensure_future(self._page(number))
        return await asyncio.shield(page)

    async def _page(self, number: int) -> SeenPage:
        found: SeenPage = await self._read(lambda store: _read(store, number))
        return found


def _read(store: Store, number: int) -> SeenPage:
    return SeenPage(events_after(store, number, PAGE), {each.webhook_id: each.revision for each in store.webhooks()})
