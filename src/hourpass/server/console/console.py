"""Answers the requests of the console: proves who asks, finds the page, and has it rendered.

What somebody asks who is signed in runs in the administration's thread, the rendering too, so it holds up no token. A
request with nothing that looks like a sign-in never gets there.
"""

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from hourpass.core.admin_access import require_allowed
from hourpass.core.admin_host import is_known_host, is_own_page
from hourpass.core.audit import Actor, ConsoleRefused
from hourpass.core.caller import bucket
from hourpass.core.errors import InsufficientScope, InvalidCredentials, NotFound, Refused, Throttled
from hourpass.core.sign_in import (
    FAILURES,
    ID_BYTES,
    SIGN_INS,
    SignIn,
    form_token,
    hash_of,
    is_form_of,
    is_id,
    is_to_note,
    told_of,
    word_of,
)
from hourpass.server.admin.administration import Administration
from hourpass.server.console import door
from hourpass.server.console.assets import assets_by_path
from hourpass.server.console.door import Person
from hourpass.server.console.guard import (
    EVERY,
    OF_ASSETS,
    OF_PAGES,
    Cookie,
    cookie_of,
    fields_of,
    host_of,
    text_of,
)
from hourpass.server.console.page import Download, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages import SECTIONS
from hourpass.server.console.rendering import BASE, render_page
from hourpass.server.console.used_forms import FormUsed
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.run.admin_work import AdminWork
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store, reading
from hourpass.server.transport.render import MethodNotAllowed
from hourpass.server.transport.request import Headers, Reply, Request

Tell = Callable[[Exception], tuple[int, str, Headers]]
"""With which status, words and headers the administration tells an error."""

STRANGERS = ""
"""The caller who all are that nobody knows yet. Together they have the places of one person."""

METHODS = ("GET", "HEAD", "POST")

SIGN_OUTS = ("/sign-out", "/sign-out-everywhere")

MOST_KNOWN = 1_000
"""Sign-ins that a node remembers, to know whose request it is before it asks the database."""


class _Refusal(Refused):
    """What only the console refuses."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Console:
    """The pages. `listen` is the admin listener's address. `timer` returns milliseconds that nobody can set."""

    def __init__(
        self,
        settings: Settings,
        issuer: Issuer,
        work: AdminWork,
        listen: str,
        timer: Callable[[], int],
        told: Tell,
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._work = work
        self._listen = listen
        self._timer = timer
        self._told = told
        self._failures = Throttle(FAILURES)
        self._entries = Throttle(SIGN_INS)
        self._refused = 0  # attempts that are in no line of the trail yet
        self._lines = Throttle(1)  # so that no stranger fills the trail
        self._known: dict[bytes, str] = {}

    async def answer(self, request: Request, request_id: str) -> Reply:
        """The answer to a request for `/console` or below.

        Raises:
            Refused, Unavailable: what the caller renders with `refusal_page`.
        """
        try:
            return await self._answer(request, request_id)
        except _Refusal as error:
            return refusal_page(error.status, error.detail, [], request_id)

    async def _answer(self, request: Request, request_id: str) -> Reply:
        if request.path in {"/", BASE}:
            return _see("/")
        path = request.path.removeprefix(BASE)
        if not is_known_host(host_of(request), self._settings.admin_hosts, self._listen):
            named = host_of(request) or "without a name"
            raise _Refusal(421, f"the console is not known as {named}: add the name to admin_hosts")
        if request.method not in METHODS:
            raise MethodNotAllowed(", ".join(METHODS))
        if path.startswith("/assets/"):
            return _asset(path.removeprefix("/assets/"), request)
        if request.method == "POST" and not is_own_page(
            text_of(request, b"sec-fetch-site"), text_of(request, b"origin"), host_of(request)
        ):
            raise _Refusal(403, "the form came from another site")
        call = _Call(self._settings, request, request_id, path, self._told)
        if path == "/sign-in" or path.startswith("/sign-in/"):
            return await self._sign_in(call)
        if not call.ids or (who := await self._who(call)) is None:
            return call.nobody()
        if path not in SIGN_OUTS:  # whoever has stolen a cookie must not keep its owner from ending it
            self._work.calls.admit(who, self._timer())
        reply = await self._work.page(who, call.answer, long=_is_long(path))
        if request.method == "POST":
            await self._issuer.verification.observe(request.now)
        return reply

    async def _who(self, call: "_Call") -> str | None:
        """Who is or was signed in, for the limits. What the person may do is decided in the thread."""
        for each in call.ids:
            if (who := self._known.get(hash_of(each))) is not None:
                return who
        person = await self._work.in_thread(STRANGERS, call.who)
        if person is None:
            return None
        return self._remember(person.sign_in)

    def _remember(self, one: SignIn) -> str:
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[one.id_hash] = one.who
        return one.who

    async def _sign_in(self, call: "_Call") -> Reply:
        """Show a form for a key or for a link, or sign in by one of them."""
        link = call.path.removeprefix("/sign-in").removeprefix("/")
        if call.path != "/sign-in" and not is_id(link):
            raise NotFound("there is no such link")
        if call.request.method != "POST":
            return call.sign_in_page(link)
        call.require_form_of_the_door()
        try:
            if link:
                return await self._work.in_thread(STRANGERS, lambda administration: call.use_link(administration, link))
            given = call.form.get("api_key", "").strip()
            self._issuer.verification.require_fresh()
            prove = self._issuer.authentication.prove
            proven = await prove(given, call.address, call.now, kind="exchanged", throttled=True, admin=True)
            await self._issuer.answers(proven, call.now)
            key_id = proven.key.key_id
            self._entries.admit(key_id, self._timer())
            return await self._work.in_thread(
                f"key:{key_id}", lambda administration: call.use_key(administration, key_id)
            )
        except InvalidCredentials as error:
            await self._tell_refused(call, "link" if link else "key")
            self._failures.admit(bucket(call.address), self._timer())
            return call.sign_in_page(problem=_why_not(error, by_link=bool(link)))

    async def _tell_refused(self, call: "_Call", by: str) -> None:
        """Note an attempt that failed: in the log by its address, and in the trail at most once a minute."""
        if by == "link":  # proving a key has noted that one
            self._issuer.authentication.wrong_keys.note(call.address)
        self._refused += 1
        try:
            self._lines.admit(STRANGERS, self._timer())
        except Throttled:
            return
        times, self._refused = self._refused, 0
        event = ConsoleRefused(by, times, Actor("client", call.address, call.request_id))
        await self._work.in_thread(
            STRANGERS,
            lambda administration: administration.in_transaction(lambda store, now: store.append_audit(now, [event])),
        )


def _why_not(error: InvalidCredentials, *, by_link: bool) -> str:
    if by_link:
        return "This link was used before, or it is older than a minute. Run hourpass console again."
    words = {
        "wrong_listener": "This is an API key, but not an admin key.",
        "revoked": "This admin key is revoked.",
        "expired": "This admin key has expired.",
        "disabled": "This admin key is disabled.",
        "rotated": "Another secret took the place of this one.",
        "address_not_allowed": "This admin key may not be used from your address.",
    }
    return words.get(error.reason or "", "This is not an admin key of this server.")


class _Call:
    """One request to the console. Its methods run in the administration's thread, unless they say otherwise."""

    def __init__(self, settings: Settings, request: Request, request_id: str, path: str, told: Tell) -> None:
        self._settings = settings
        self._told = told
        self.request = request
        self.request_id = request_id
        self.path = path
        self.now = request.now
        self.address = request.address()
        self.cookie: Cookie = cookie_of(request)
        self.ids = self.cookie.ids_in(request)
        self.id = ""  # the one of them that somebody is signed in with
        # The door has a cookie of its own. A link on another site leads to it without the cookie of the sign-in, and
        # what it sets must not take that one's place.
        self.door_cookie: Cookie = cookie_of(request, "hourpass_door")
        self.door_ids = self.door_cookie.ids_in(request)
        self.form = fields_of(request.body) if request.method == "POST" else {}
        self._query = fields_of(request.query)

    def require_own_form(self) -> None:
        """Refuse a form that was not made for the sign-in of this request."""
        if not is_form_of(self.id, self.form.get("form", "")):
            raise _Refusal(403, "the form is not one of this sign-in: load the page again")

    def require_form_of_the_door(self) -> None:
        """Refuse a form to sign in that was not made for this browser."""
        if not any(is_form_of(each, self.form.get("form", ""), "door") for each in self.door_ids):
            raise _Refusal(403, "the form is not one of this browser: load the page again")

    # Signing in.

    def sign_in_page(self, link: str = "", problem: str = "") -> Reply:
        """The page for a key, or for a link. It gives the browser an id for its form. It needs no thread."""
        visitor, cookies = self._at_the_door()
        values = {
            "form_token": form_token(visitor, "door"),
            "problem": problem,
            "to": _inside(self._query.get("to", "/")),
        }
        values["flash"] = _SIGN_IN_WORDS.get(word_of(visitor, "/sign-in", self._query.get("done", ""), self.now), "")
        page = ("link.html", {**values, "link": link}) if link else ("sign_in.html", values)
        return Reply(403 if problem else 200, [*OF_PAGES, *cookies], render_page(*page))

    def _at_the_door(self) -> tuple[str, list[tuple[bytes, bytes]]]:
        """The id that the browser has at the door, and the cookie for it if it has none yet."""
        if self.door_ids:
            return self.door_ids[-1], []
        new_id = _new_id()
        return new_id, [self.door_cookie.setting(new_id)]

    def use_link(self, administration: Administration, link: str) -> Reply:
        """Sign in by a one-time link."""
        return self._welcome(
            administration, lambda store, new_id, by: door.sign_in_by_link(store, link, new_id, by, self.now)
        )

    def use_key(self, administration: Administration, key_id: str) -> Reply:
        """Sign in by an admin key that was proven."""
        return self._welcome(
            administration, lambda store, new_id, by: door.sign_in_by_key(store, key_id, new_id, by, self.now)
        )

    def _welcome(self, administration: Administration, begin: Callable[[Store, str, Actor], None]) -> Reply:
        new_id = _new_id()  # never the one that the browser had before (session fixation)

        def enter(store: Store, now: int) -> None:
            for each in self.ids:
                store.end_sign_in(hash_of(each))
            begin(store, new_id, Actor("", self.address, self.request_id))

        administration.in_transaction(enter)
        to = _inside(self.form.get("to", "/"))
        return _see(to, self.cookie.setting(new_id), self.door_cookie.removal())

    # Everything else.

    def who(self, administration: Administration) -> Person | None:
        """Who is signed in, None if nobody is."""
        with reading(administration.store) as store:
            found = self._find(store)
        return found and found[1]

    def _find(self, store: Store) -> tuple[str, Person] | None:
        return door.who_is_one_of(store, self.ids, self.address, self.request_id, self.now)

    def answer(self, administration: Administration, outside: object) -> Reply:
        """The answer to somebody who is signed in. Anybody else is sent to sign in. `outside` is for `Visit.call`."""
        with reading(administration.store) as store:
            found = self._find(store)
        if found is None:
            return self.nobody()
        self.id, person = found
        # What a page asks for by itself is not a use: a page that is left open would keep somebody signed in.
        if is_to_note(person.sign_in, self.now) and self.request.header(b"hx-request") is None:
            id_hash = person.sign_in.id_hash
            administration.in_transaction(lambda store, now: store.note_seen(id_hash, now))
        if self.request.method == "POST":
            self.require_own_form()
            if self.path in SIGN_OUTS:
                everywhere = self.path == "/sign-out-everywhere"
                administration.in_transaction(lambda store, now: door.leave(store, person, now, everywhere=everywhere))
                visitor, cookies = self._at_the_door()
                told = told_of(visitor, "/sign-in", "out", self.now)
                return _see(f"/sign-in?done={told}", self.cookie.removal(), *cookies)
        menu = [each.path for each in SECTIONS if each.is_for(person.caller)]
        if self.path == "/" and "/" not in menu:
            return _see(menu[0])
        visit_of = partial(
            Visit,
            administration,
            self._settings,
            person,
            self.now,
            query=self._query,
            form=self.form,
            menu=menu,
            outside=outside,
        )
        try:
            return self._shown(visit_of)
        except Refused as error:
            status, words, headers = self._told(error)
            words = _not_for(person) if isinstance(error, InsufficientScope) else words
            return refusal_page(status, words, headers, self.request_id, self._page("", visit_of(path={})))

    def _shown(self, visit_of: Callable[..., Visit]) -> Reply:
        section, view, parts = _find(self.path)
        visit = visit_of(path=parts)
        require_allowed(visit.caller, view.needs.scope, delegated=view.needs.delegated)
        handler = view.act if self.request.method == "POST" else view.show
        if handler is None:
            raise MethodNotAllowed("GET, HEAD" if view.show else "POST")
        try:
            answer = handler(visit)
        except FormUsed:
            answer = Shown("done_already.html", {"back": self.path.rpartition("/")[0]}, 409)
        return self._reply(answer, section, visit)

    def nobody(self) -> Reply:
        """The way to the door, for somebody who is not signed in. It needs no thread."""
        if self.request.method == "POST":
            raise _Refusal(401, "you are not signed in any more")
        here = quote(self.path) + (f"?{self.request.query.decode('latin-1')}" if self.request.query else "")
        to = "/sign-in" if here == "/" else f"/sign-in?{urlencode({'to': here})}"
        if self.request.header(b"hx-request") is not None:
            return Reply(204, [*EVERY, (b"hx-redirect", (BASE + to).encode())])
        if text_of(self.request, b"sec-fetch-site") == "cross-site":
            # A link elsewhere led here, and a strict cookie stays at home then. Our own page may ask once more.
            return Reply(200, OF_PAGES, render_page("hop.html", {"form_token": ""}))
        return _see(to)

    def _reply(self, answer: PageAnswer, section: Section, visit: Visit) -> Reply:
        match answer:
            case GoTo(path, done):
                told = told_of(self.id, path.partition("?")[0], done, self.now)
                return _see(path + (f"{'&' if '?' in path else '?'}done={told}" if done else ""))
            case Download(name, media_type, body):
                named = f'attachment; filename="{quote(name, safe=".-_")}"'
                headers = [(b"content-type", media_type.encode()), (b"content-disposition", named.encode())]
                return Reply(200, [*EVERY, (b"cache-control", b"no-store"), *headers], body)
            case Shown(template, values, status):
                done = word_of(self.id, self.path, self._query.get("done", ""), self.now)
                flash = {"flash": section.done.get(done, "")}
                page = self._page(section.name, visit) | flash | dict(values)
                return Reply(status, OF_PAGES, render_page(template, page))

    def _page(self, here: str, visit: Visit) -> dict[str, Any]:
        """What every page of somebody who is signed in needs."""
        menu = [each for each in SECTIONS if each.is_for(visit.caller)]
        return {"visit": visit, "now": self.now, "here": here, "menu": menu, "form_token": form_token(self.id)}


_SIGN_IN_WORDS = {"out": "You are signed out."}


def _not_for(person: Person) -> str:
    """Why an operation is not for somebody, in words of the console: people have roles, and tokens have scopes."""
    if person.caller.is_delegated:
        return "your key is delegated, and this is not for such a key"
    return f"your role, {person.role}, " + ("may only look" if person.role == "auditor" else "may not do this")


def _find(path: str) -> tuple[Section, View, Mapping[str, str]]:
    for section in SECTIONS:
        for view in section.views:
            if (parts := view.match(path)) is not None:
                return section, view, parts
    raise NotFound("there is no such page")


def _is_long(path: str) -> bool:
    return any(view.needs.long and view.match(path) is not None for section in SECTIONS for view in section.views)


def _new_id() -> str:
    return secrets.token_urlsafe(ID_BYTES)


def _inside(path: str) -> str:
    """A path of the console's own, "/" if it could lead to another site, as `//host` does."""
    return path if path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable() else "/"


def _see(path: str, *headers: tuple[bytes, bytes]) -> Reply:
    where = (BASE + path).encode("ascii", "ignore")
    return Reply(303, [*EVERY, (b"cache-control", b"no-store"), (b"location", where), *headers])


def _asset(name: str, request: Request) -> Reply:
    asset = assets_by_path().get(name)
    if asset is None:
        raise NotFound("there is no such file")
    headers = [*OF_ASSETS, (b"content-type", asset.media_type)]
    if b"gzip" in (request.header(b"accept-encoding") or b""):
        return Reply(200, [*headers, (b"content-encoding", b"gzip")], asset.compressed)
    return Reply(200, headers, asset.body)


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
    words = (
        detail[:1].upper() + detail[1:] + "."
        if detail
        else "Try again. If it stays like this, look into the server’s log."
    )
    values: dict[str, Any] = {
        "status": status,
        "title": title,
        "words": words,
        "request_id": request_id,
        "form_token": "",
        **page,
    }
    return Reply(status, [*OF_PAGES, *more], render_page("refused.html", values))
