"""Answers somebody who is signed in: finds the page, lets it show or do something, and has it rendered.

All of it runs in the administration's thread, the rendering too, so that it holds up no token.
"""

from collections.abc import Mapping
from typing import Any

from hourpass.core.admin_access import require_allowed
from hourpass.core.errors import HourpassError, InsufficientScope, NotFound, Refused
from hourpass.core.sign_in import form_token, is_to_note
from hourpass.server.admin.administration import Administration
from hourpass.server.console import door
from hourpass.server.console.answers import (
    InTheFrame,
    RefusedHere,
    Tell,
    file_to_keep,
    page_answer,
    refusal_page,
    way_to,
)
from hourpass.server.console.browser_request import BrowserRequest
from hourpass.server.console.door import Person
from hourpass.server.console.page import Download, GoTo, NotMeant, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages import SECTIONS
from hourpass.server.console.signing_in import SIGN_OUTS, sign_out
from hourpass.server.console.used_forms import FormUsed
from hourpass.server.settings.settings import Settings
from hourpass.server.store import reading
from hourpass.server.transport.render import MethodNotAllowed
from hourpass.server.transport.request import Reply

_NOT_THE_NAME = "This is not the name."


def who_is_signed_in(asked: BrowserRequest, administration: Administration) -> tuple[str, Person] | None:
    """Who is signed in, and with which of the ids that the browser sent. None if nobody is."""
    with reading(administration.store) as store:
        return door.who_is_one_of(store, asked.ids, asked.address, asked.request_id, asked.now)


def is_long(path: str) -> bool:
    """Whether a page may take seconds."""
    views = (view for section in SECTIONS for view in section.views if view.long or view.needs.long)
    return any(view.match(path) is not None for view in views)


def answer_person(
    settings: Settings,
    data_flags: tuple[str, ...],
    told: Tell,
    asked: BrowserRequest,
    administration: Administration,
    outside: object,
) -> Reply | None:
    """The answer to somebody who is signed in, None to anybody else.

    `data_flags` are for the commands that a page shows, and `outside` is for `Visit.call`.
    """
    found = who_is_signed_in(asked, administration)
    if found is None:
        return None
    sign_in_id, person = found
    # What a page asks for by itself is not a use: a page that is left open would keep somebody signed in.
    if is_to_note(person.sign_in, asked.now) and not asked.is_by_itself:
        id_hash = person.sign_in.id_hash
        administration.in_transaction(lambda store, now: store.note_seen(id_hash, now))
    return _SignedIn(settings, data_flags, told, asked, administration, outside, sign_in_id, person).answer()


class _SignedIn:
    """One request of a person. `sign_in_id` is the one of the browser's ids that they are signed in with."""

    def __init__(
        self,
        settings: Settings,
        data_flags: tuple[str, ...],
        told: Tell,
        asked: BrowserRequest,
        administration: Administration,
        outside: object,
        sign_in_id: str,
        person: Person,
    ) -> None:
        self._settings = settings
        self._data_flags = data_flags
        self._told = told
        self._asked = asked
        self._administration = administration
        self._outside = outside
        self._id = sign_in_id
        self._person = person
        self._menu = [each for each in SECTIONS if each.is_for(person.caller)]

    def answer(self) -> Reply:
        """The page, or the refusal in the frame of a page."""
        paths = [each.path for each in self._menu]
        if self._asked.path == "/" and "/" not in paths:
            return way_to(paths[0])
        try:
            if self._asked.is_post:
                self._asked.require_form_of(self._id)
                if self._asked.path in SIGN_OUTS:
                    return sign_out(self._administration, self._asked, self._person)
            return self._shown()
        except Refused as error:
            status, words, headers = self._told(error)
            if isinstance(error, RefusedHere):
                status, words = error.status, error.detail
            words = _not_for(self._person) if isinstance(error, InsufficientScope) else words
            return refusal_page(status, words, headers, self._asked.request_id, self._frame())
        except HourpassError as error:
            raise InTheFrame(error, self._frame()) from error

    def _shown(self) -> Reply:
        section, view, parts = _find(self._asked.path)
        visit = self._visit(parts)
        require_allowed(visit.caller, view.needs.scope, delegated=view.needs.delegated)
        handler = view.act if self._asked.is_post else view.show
        if handler is None:
            raise MethodNotAllowed("GET, HEAD" if view.show else "POST")
        try:
            answer = handler(visit)
        except NotMeant as error:
            answer = error.question.page(_NOT_THE_NAME if "confirm" in self._asked.form else "")
        except FormUsed:
            answer = Shown("done_already.html", {"back": self._asked.path.rpartition("/")[0]}, 409)
        return self._reply(answer, section, visit)

    def _visit(self, parts: Mapping[str, str]) -> Visit:
        return Visit(
            self._administration,
            self._settings,
            self._person,
            self._asked.now,
            path=parts,
            query=self._asked.query,
            form=self._asked.form,
            origin=self._asked.origin,
            menu=[each.path for each in self._menu],
            data_flags=self._data_flags,
            outside=self._outside,
        )

    def _reply(self, answer: PageAnswer, section: Section, visit: Visit) -> Reply:
        match answer:
            case GoTo(path, done):
                return way_to(path, *self._asked.telling(self._id, path.partition("?")[0], done))
            case Download(name, media_type, body):
                return file_to_keep(name, media_type, body)
            case Shown(template, values, status):
                done, headers = self._asked.told(self._id)
                flash = {"flash": section.done.get(done, "")}
                return page_answer(template, self._page(section.name, visit) | flash | dict(values), status, headers)

    def _frame(self) -> dict[str, Any]:
        """What a refusal needs to stand in the frame, and the page that may be loaded again."""
        views = [view for section in SECTIONS for view in section.views if view.show]
        again = self._asked.path if any(view.match(self._asked.path) is not None for view in views) else ""
        return {**self._page("", self._visit({})), "again": again}

    def _page(self, here: str, visit: Visit) -> dict[str, Any]:
        """What every page of somebody who is signed in needs."""
        now = self._asked.now
        return {"visit": visit, "now": now, "here": here, "menu": self._menu, "form_token": form_token(self._id)}


def _find(path: str) -> tuple[Section, View, Mapping[str, str]]:
    for section in SECTIONS:
        for view in section.views:
            if (parts := view.match(path)) is not None:
                return section, view, parts
    raise NotFound("there is no such page")


def _not_for(person: Person) -> str:
    """Why an operation is not for somebody, in words of the console: people have roles, and tokens have scopes."""
    if person.caller.is_delegated:
        return "your key is delegated, and this is not for such a key"
    return f"your role, {person.role}, " + ("may only look" if person.role == "auditor" else "may not do this")
