"""What a browser sends: by which cookies it may be known, what it fills into a form, and whether the form is ours."""

from hourpass.core.policy import SECOND
from hourpass.core.sign_in import TOLD_FOR, is_form_of, told_of, word_of
from hourpass.server.console.answers import RefusedHere
from hourpass.server.console.guard import MOST_IDS, Cookie, cookie_of, fields_of, host_of, is_https
from hourpass.server.transport.request import Headers, Request


class BrowserRequest:
    """One request to the console. `path` is its path below the console's address. Nothing of it is proven.

    Raises:
        InvalidRequest: if its query or its form is malformed.
    """

    def __init__(self, request: Request, request_id: str, path: str) -> None:
        self.request = request
        self.request_id = request_id
        self.path = path
        self.now = request.now
        self.address = request.address()
        self.is_post = request.method == "POST"
        # What a page asks for by itself, without its person (the header is htmx's).
        self.is_by_itself = request.header(b"hx-request") is not None
        self.cookie: Cookie = cookie_of(request)
        self.ids = self.cookie.ids_in(request)
        # The door has a cookie of its own. A link on another site leads to it without the cookie of the sign-in, and
        # what it sets must not take that one's place.
        self.door_cookie: Cookie = cookie_of(request, "hourpass_door")
        self.door_ids = self.door_cookie.ids_in(request)
        self._told_cookie = cookie_of(request, "hourpass_told")
        self._told = self._told_cookie.values_in(request)[-MOST_IDS:]
        self.form = fields_of(request.body) if self.is_post else {}
        self.query = fields_of(request.query)

    @property
    def origin(self) -> str:
        """By which URL the browser reaches the listener. The Host header was found to be one of ours."""
        return f"{'https' if is_https(self.request) else 'http'}://{host_of(self.request)}"

    def telling(self, id: str, path: str, word: str) -> Headers:  # noqa: A002
        """The header by which the page at a path learns what was just done. It shows that once."""
        if not word:
            return []
        return [self._told_cookie.setting(told_of(id, path, word, self.now), TOLD_FOR // SECOND)]

    def told(self, id: str) -> tuple[str, Headers]:  # noqa: A002
        """The word that was left for this page, empty if there is none, and the header that takes it away."""
        words = [word_of(id, self.path, each, self.now) for each in self._told]
        word = next(filter(None, words), "")
        return word, [self._told_cookie.removal()] if word else []

    def require_form_of(self, id: str) -> None:  # noqa: A002
        """Refuse a form that was not made for the sign-in with this id."""
        if not is_form_of(id, self.form.get("form", "")):
            raise RefusedHere(403, "the form is not one of this sign-in: load the page again")

    def require_form_of_the_door(self) -> None:
        """Refuse a form to sign in that was not made for this browser."""
        if not any(is_form_of(each, self.form.get("form", ""), "door") for each in self.door_ids):
            raise RefusedHere(403, "the form is not one of this browser: load the page again")
