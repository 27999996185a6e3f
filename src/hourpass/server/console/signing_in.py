"""Signing in and out with a browser: the forms for a key and for a link, and what limits those who try.

`door.py` decides who may come in.
"""

import secrets
import shlex
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlencode

from hourpass.core.actor import Actor
from hourpass.core.admin_host import is_loopback_host
from hourpass.core.caller import bucket
from hourpass.core.errors import InvalidCredentials, NotFound, Throttled
from hourpass.core.server_events import ConsoleRefused
from hourpass.core.sign_in import FAILURES, ID_BYTES, SIGN_INS, form_token, hash_of, is_id
from hourpass.server.admin.administration import Administration
from hourpass.server.console import door
from hourpass.server.console.answers import RefusedHere, page_answer, way_to
from hourpass.server.console.browser_request import BrowserRequest
from hourpass.server.console.door import Person
from hourpass.server.console.guard import EVERY, host_of, is_https, text_of
from hourpass.server.console.rendering import BASE
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.run.admin_work import AdminWork
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store
from hourpass.server.transport.request import Headers, Reply

STRANGERS = ""
"""The caller who all are that nobody knows yet. Together they have the places of one person."""

LISTEN = Settings.admin_listen
"""Where the admin listener is if no setting says another address: there the command looks by itself."""

SIGN_OUTS = ("/sign-out", "/sign-out-everywhere")

_WORDS = {"out": "You are signed out."}


class LinkCommand(NamedTuple):
    """The command that makes a link to this console. `listen` is the admin listener's address.

    `names_database` says that a setting names the database. Its URL may hold a password, so no page shows it.
    """

    data_flags: tuple[str, ...]
    listen: str
    names_database: bool

    def text(self, url: str) -> str:
        """The command for a browser that reaches the listener at a URL."""
        usual = self.listen == LISTEN and url in {f"http://{LISTEN}", f"http://localhost:{LISTEN.rpartition(':')[2]}"}
        return shlex.join(["hourpass", "console", *self.data_flags, *(() if usual else ("--url", url))])


class SigningIn:
    """What answers at `/sign-in` and below. `timer` returns milliseconds that nobody can set."""

    def __init__(
        self, issuer: Issuer, work: AdminWork, timer: Callable[[], int], workers: int, link_command: LinkCommand
    ) -> None:
        self._issuer = issuer
        self._link_command = link_command
        self._work = work
        self._timer = timer
        # Each worker counts by itself, and none knows who came to the others.
        self._failures = Throttle(max(1, FAILURES // workers))
        self._entries = Throttle(SIGN_INS)
        self._refused = 0  # attempts that are in no line of the trail yet
        self._lines = Throttle(1)  # so that no stranger fills the trail

    async def answer(self, asked: BrowserRequest) -> Reply:
        """Show a form for a key or for a link, or sign in by one of them."""
        link = asked.path.removeprefix("/sign-in").removeprefix("/")
        if asked.path != "/sign-in" and not is_id(link):
            raise NotFound("there is no such link")
        if not asked.is_post:
            return self._form(asked, link)
        asked.require_form_of_the_door()
        try:
            return await (self._by_link(asked, link) if link else self._by_key(asked))
        except InvalidCredentials as error:
            await self._tell_refused(asked, "link" if link else "key")
            self._failures.admit(bucket(asked.address), self._timer())
            return self._form(asked, problem=_why_not(error, by_link=bool(link)))

    async def _by_link(self, asked: BrowserRequest, link: str) -> Reply:
        def begin(store: Store, new_id: str, by: Actor) -> None:
            door.sign_in_by_link(store, link, new_id, by, asked.now)

        return await self._work.in_thread(STRANGERS, lambda administration: _welcome(administration, asked, begin))

    async def _by_key(self, asked: BrowserRequest) -> Reply:
        given = asked.form.get("api_key", "").strip()
        self._issuer.verification.require_fresh()
        prove = self._issuer.authentication.prove
        proven = await prove(given, asked.address, asked.now, kind="exchanged", throttled=True, admin=True)
        await self._issuer.answers(proven, asked.now)
        key_id = proven.key.key_id
        self._entries.admit(key_id, self._timer())

        def begin(store: Store, new_id: str, by: Actor) -> None:
            door.sign_in_by_key(store, proven, new_id, by, asked.now)

        return await self._work.in_thread(
            f"key:{key_id}", lambda administration: _welcome(administration, asked, begin)
        )

    async def _tell_refused(self, asked: BrowserRequest, by: str) -> None:
        """Note an attempt that failed: in the log by its address, and in the trail at most once a minute."""
        if by == "link":  # proving a key has noted that one
            self._issuer.authentication.wrong_keys.note(asked.address)
        self._refused += 1
        try:
            self._lines.admit(STRANGERS, self._timer())
        except Throttled:
            return
        times, self._refused = self._refused, 0
        event = ConsoleRefused(by, times, Actor("client", asked.address, asked.request_id))
        await self._work.in_thread(
            STRANGERS,
            lambda administration: administration.in_transaction(lambda store, now: store.append_audit(now, [event])),
        )

    def _form(self, asked: BrowserRequest, link: str = "", problem: str = "") -> Reply:
        """The page for a key, or for a link. It gives the browser an id for its form."""
        visitor, cookies = _at_the_door(asked)
        https, host = is_https(asked.request), host_of(asked.request)
        done, headers = asked.told(visitor)
        values = {
            "form_token": form_token(visitor, "door"),
            "problem": problem,
            "to": _inside(asked.query.get("to", "/")),
            "flash": _WORDS.get(done, ""),
            "in_plain": not (https or is_loopback_host(host)),
            "names_database": self._link_command.names_database,
            "command": self._link_command.text(f"{'https' if https else 'http'}://{host}"),
        }
        page = ("link.html", {**values, "link": link}) if link else ("sign_in.html", values)
        return page_answer(*page, 403 if problem else 200, [*cookies, *headers])


def sign_out(administration: Administration, asked: BrowserRequest, person: Person) -> Reply:
    """End the sign-in of this browser, or all of the person's, and lead to the form to sign in."""
    everywhere = asked.path == "/sign-out-everywhere"
    administration.in_transaction(lambda store, now: door.leave(store, person, now, everywhere=everywhere))
    visitor, cookies = _at_the_door(asked)
    return way_to("/sign-in", asked.cookie.removal(), *asked.telling(visitor, "/sign-in", "out"), *cookies)


def way_to_sign_in(asked: BrowserRequest) -> Reply:
    """The answer to somebody who is not signed in: the way to the form, and from there back to the page.

    Raises:
        RefusedHere: if they sent a form, because what is in it would be lost.
    """
    if asked.is_post:
        raise RefusedHere(401, "you are not signed in any more")
    here = quote(asked.path) + (f"?{asked.request.query.decode('latin-1')}" if asked.request.query else "")
    to = "/sign-in" if here == "/" else f"/sign-in?{urlencode({'to': here})}"
    if asked.is_by_itself:
        return Reply(204, [*EVERY, (b"hx-redirect", (BASE + to).encode())])
    if text_of(asked.request, b"sec-fetch-site") == "cross-site":
        # A link elsewhere led here, and a strict cookie stays at home then. Our own page may ask once more.
        return page_answer("hop.html", {"form_token": ""})
    return way_to(to)


def _at_the_door(asked: BrowserRequest) -> tuple[str, Headers]:
    """The id that the browser has at the door, and the cookie for it if it has none yet."""
    if asked.door_ids:
        return asked.door_ids[-1], []
    new_id = _new_id()
    return new_id, [asked.door_cookie.setting(new_id)]


def _welcome(
    administration: Administration, asked: BrowserRequest, begin: Callable[[Store, str, Actor], None]
) -> Reply:
    """Sign somebody in, as `begin` does it under a new id, and lead to the page that they asked for."""
    new_id = _new_id()  # never the one that the browser had before (session fixation)

    def enter(store: Store, now: int) -> None:
        for each in asked.ids:
            store.end_sign_in(hash_of(each))
        begin(store, new_id, Actor("", asked.address, asked.request_id))

    administration.in_transaction(enter)
    return way_to(_inside(asked.form.get("to", "/")), asked.cookie.setting(new_id), asked.door_cookie.removal())


def _new_id() -> str:
    return secrets.token_urlsafe(ID_BYTES)


def _inside(path: str) -> str:
    """A path of the console's own, "/" if it could lead to another site, as `//host` does."""
    return path if path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable() else "/"


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
