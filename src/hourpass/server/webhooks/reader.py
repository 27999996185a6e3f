"""Pages of published events for all webhooks of a node: those that are equally far share one read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hourpass.server.ledger.news import News
from hourpass.server.store import Store
from hourpass.server.webhooks.events import EventPage, events_after

KEPT = 8
"""How many pages are kept until the next news. Webhooks that fail are at different places."""

PAGE = 100
"""How many events a page has at most."""


class EventReader:
    """Reads pages by the ledger's `read`. Belongs to one event loop."""

    def __init__(self, read: Callable[[Callable[[Store], Any]], Awaitable[Any]], news: News) -> None:
        self._read = read
        self._news = news
        self._pages: dict[int, asyncio.Task[EventPage]] = {}
        self._as_of = 0

    async def after(self, number: int) -> EventPage:
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

    async def _page(self, number: int) -> EventPage:
        page: EventPage = await self._read(lambda store: events_after(store, number, PAGE))
        return page
