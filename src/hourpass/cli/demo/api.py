"""The demo's protected API: a few videos, in the form that the source's clients expect.

The real application decides who may ask. This module holds only the videos and their pages.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from hourpass.server.endpoints.app import App
from hourpass.server.transport.asgi import Receive, Scope, Send, respond
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.problems import PROBLEM, write_problem
from hourpass.wire.shapes import JSON, encode

SCOPE = "videos.read"
"""The scope that a token or a key needs for every route here."""

DEFAULT_PAGE_SIZE = 25
MAX_PAGE_SIZE = 100
MAX_PAGE = 1_000_000_000

# id, title, description, tags
_FILMS = (
    ("vi3qTzX9hWb1kRc7MnYpLd0e", "Harbour at dawn", "Boats leave before the sun is up.", "sea morning"),
    ("vi8wLsK2vGd5jQx0BtHmZr4c", "How bread rises", "A day with a baker, in four minutes.", "food"),
    ("vi1nPcV6yTf3oJe9WkRsXg7u", "Night train", "Through the mountains, seen from the last carriage.", "travel night"),
    ("vi5dHbM0zQr8uLy4CxEtNk2a", "The quiet forest", "Nothing but birds and wind.", "nature"),
    ("vi7gFxJ3sWn6pVo1KdTyBq9i", "Learning to sail", "First lesson: how to fall in.", "sea sport"),
    ("vi2kYrC8mLh4eZt5GvPwQs0n", "City in the rain", "Umbrellas from above.", "city panorama"),
    ("vi9tUoE1bXj7aNd3RfMzHc6y", "Making a violin", "From the tree to the first note.", "craft music"),
    ("vi4xSiG5qKw2rBv8LpYnDt7m", "Market day", "Colours, voices, and one stubborn goat.", "food city"),
    ("vi6zWmQ0cTg9fHs1JoVxRb3l", "Northern lights", "Nine hours in ninety seconds.", "night nature panorama"),
    ("vi0jLaD7nPe5tXk2UyCrWv8h", "A bridge is built", "Three years, one camera.", "craft city"),
    ("vi3vBqN4iRy6mGz9ShFtKx1o", "Morning run", "Ten kilometres along the sea.", "sport sea morning"),
    ("vi8cTeH2wJo0kPf7DlXnMu5g", "The last lighthouse keeper", "He still lights the lamp himself.", "sea people"),
)


def _video(number: int, film: tuple[str, str, str, str]) -> dict[str, object]:
    video_id, title, description, tags = film
    created = f"2025-{1 + number:02}-03T09:30:00+00:00"
    player = f"https://embed.example.invalid/vod/{video_id}"
    files = f"https://vod.example.invalid/{video_id}"
    return {
        "videoId": video_id,
        "title": title,
        "description": description,
        "public": True,
        "panoramic": "panorama" in tags,
        "mp4Support": True,
        "publishedAt": created,
        "createdAt": created,
        "updatedAt": f"2025-{1 + number:02}-04T12:00:00+00:00",
        "tags": tags.split(),
        "metadata": [{"key": "language", "value": "en"}],
        "source": {"type": "upload", "uri": f"/videos/{video_id}/source"},
        "assets": {
            "hls": f"{files}/hls/manifest.m3u8",
            "iframe": f'<iframe src="{player}" width="100%" height="100%" allowfullscreen="true"></iframe>',
            "player": player,
            "thumbnail": f"{files}/thumbnail.jpg",
            "mp4": f"{files}/mp4/source.mp4",
        },
    }


VIDEOS = {film[0]: _video(number, film) for number, film in enumerate(_FILMS)}


class _Page(NamedTuple):
    number: int
    size: int
    title: str


class DemoApi:
    """Serves the videos and hourpass's own application on one origin, because the source's clients know one host."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.streams = app.streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        await respond(self, scope, receive, send)

    def body_limit(self, path: str) -> int:
        """The application's limit. No request for videos has a body."""
        return self._app.body_limit(path)

    def answer_at_once(self, request: Request) -> Reply | None:
        """The application's answer at once, if it has one."""
        return self._app.answer_at_once(request)

    async def answer(self, request: Request) -> Reply:
        """Answer for videos. Pass everything else to the application."""
        path = request.path.removeprefix(self._app.settings.path_prefix)
        if path != "/videos" and not path.startswith("/videos/"):
            return await self._app.answer(request)
        reply = await self._app.authorize(request, SCOPE)
        if reply.status == 204:
            return _answer(request.method, path, request.query)
        if not reply.body:
            # A proxy's subrequest needs no body, but a person with curl does.
            title = "The access token is missing or not accepted." if reply.status == 401 else "A scope is missing."
            return _problem(reply.status, title, headers=dict(reply.headers))
        return reply


def _answer(method: str, path: str, query: bytes) -> Reply:
    if method not in ("GET", "HEAD"):
        return _problem(405, "Method is not allowed for this route.", headers={b"allow": b"GET, HEAD"})
    if path != "/videos":
        video = VIDEOS.get(path.removeprefix("/videos/"))
        return _problem(404, "The requested resource was not found.", "videoId") if video is None else _ok(video)
    page = _read_page(query)
    return _problem(400, "Invalid attributes.", page) if isinstance(page, str) else _ok(_list(page))


def _ok(data: object) -> Reply:
    return Reply(200, [(b"content-type", JSON), (b"cache-control", b"no-store")], encode(data))


def _problem(status: int, title: str, name: str = "", *, headers: Mapping[bytes, bytes] | None = None) -> Reply:
    all_headers = {b"content-type": PROBLEM, b"cache-control": b"no-store", **(headers or {})}
    return Reply(status, list(all_headers.items()), write_problem(status, title, name))


def _read_page(query: bytes) -> _Page | str:
    """The page that the query asks for, or the name of the parameter that is out of range."""
    try:
        asked = dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32))
    except ValueError:
        return "query"
    number = _whole(asked.get("currentPage", "1"), MAX_PAGE)
    size = _whole(asked.get("pageSize", str(DEFAULT_PAGE_SIZE)), MAX_PAGE_SIZE)
    if number is None:
        return "currentPage"
    return "pageSize" if size is None else _Page(number, size, asked.get("title", ""))


def _whole(text: str, most: int) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    return number if 1 <= number <= most else None


def _list(page: _Page) -> dict[str, object]:
    found = [video for video in VIDEOS.values() if page.title.casefold() in str(video["title"]).casefold()]
    pages = max(1, -(-len(found) // page.size))
    start = (page.number - 1) * page.size
    shown = found[start : start + page.size]
    links = {"self": page.number, "first": 1, "last": pages}
    if page.number > 1:
        links["previous"] = min(page.number - 1, pages)
    if page.number < pages:
        links["next"] = page.number + 1
    return {
        "data": shown,
        "pagination": {
            "currentPage": page.number,
            "pageSize": page.size,
            "pagesTotal": pages,
            "itemsTotal": len(found),
            "currentPageItems": len(shown),
            "links": [{"rel": rel, "uri": _uri(page._replace(number=number))} for rel, number in links.items()],
        },
    }


def _uri(page: _Page) -> str:
    title = {"title": page.title} if page.title else {}
    return "/videos?" + urlencode({"currentPage": page.number, "pageSize": page.size, **title})
