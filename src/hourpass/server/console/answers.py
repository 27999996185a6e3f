"""What the console answers with: a page, the way to another page, a file to keep, or a refusal."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from hourpass.core.errors import Refused
from hourpass.server.console.guard import EVERY, OF_PAGES
from hourpass.server.console.rendering import BASE, as_sentence, render_page
from hourpass.server.transport.request import Headers, Reply

Tell = Callable[[Exception], tuple[int, str, Headers]]
"""With which status, words and headers the administration tells an error."""


class InTheFrame(Exception):
    """Trouble that a signed-in person met: its cause, and what a page in the frame needs."""

    def __init__(self, cause: Exception, page: Mapping[str, Any]) -> None:
        super().__init__()
        self.cause = cause
        self.page = page


class RefusedHere(Refused):
    """What only the console refuses."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def page_answer(template: str, values: Mapping[str, Any], status: int = 200, more: Headers | None = None) -> Reply:
    """A page. `more` is what it needs besides the headers that every page has."""
    return Reply(status, [*OF_PAGES, *(more or [])], render_page(template, values))


def way_to(path: str, *headers: tuple[bytes, bytes]) -> Reply:
    """The way to another page of the console."""
    where = (BASE + path).encode("ascii", "ignore")
    return Reply(303, [*EVERY, (b"cache-control", b"no-store"), (b"location", where), *headers])


def file_to_keep(name: str, media_type: str, body: bytes) -> Reply:
    """A file that the browser saves under a name."""
    named = f'attachment; filename="{quote(name, safe=".-_")}"'
    headers = [(b"content-type", media_type.encode()), (b"content-disposition", named.encode())]
    return Reply(200, [*EVERY, (b"cache-control", b"no-store"), *headers], body)


_TITLES = {
    400: "The request is malformed",
    401: "You are not signed in",
    403: "You may not do this",
    404: "Not found",
    405: "Not possible here",
    409: "Not now",
    412: "Somebody else was faster",
    413: "That is too much",
    421: "Not the console’s name",
    422: "That does not fit",
    429: "Too many requests",
    503: "Not available at the moment",
}


def refusal_page(
    status: int, detail: str, more: Headers, request_id: str, page: Mapping[str, Any] = MappingProxyType({})
) -> Reply:
    """An error as a page. `detail` is for the person who asked, and may be empty. `more` says when to retry.

    `page` has what a page in the frame needs, if the person is signed in.
    """
    title = _TITLES.get(status, "Something went wrong")
    words = as_sentence(detail) if detail else "Try again. If it stays like this, look into the server’s log."
    values: dict[str, Any] = {
        "status": status,
        "title": title,
        "words": words,
        "request_id": request_id,
        "form_token": "",
        "again": "",
        **page,
    }
    return page_answer("refused.html", values, status, more)
