"""What a page of the console is made of: paths, and functions that show or act.

A page is a module with a `SECTION`, and a template for each thing that it shows. `pages/__init__.py` lists the modules.
A function gets a `Visit`, and asks the administration through it. It decides nothing that an operation decides.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlencode, urlsplit

from hourpass.admin import shapes
from hourpass.admin.operations import OPERATIONS, Operation
from hourpass.core.admin_access import ADMIN_WRITE, AdminCaller, may, may_change, may_set
from hourpass.core.errors import InvalidRequest, Refused
from hourpass.core.key_members import holds_key
from hourpass.server.admin.administration import Administration
from hourpass.server.admin.key_import import ImportBatch
from hourpass.server.console.door import Person
from hourpass.server.console.used_forms import forget_use, use_form
from hourpass.server.run.admin_work import TakesLong
from hourpass.server.settings.settings import Settings

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)

_BY_NAME = {operation.name: operation for operation in OPERATIONS}


class Fields(dict[str, str]):
    """The fields of a form, or what is wrong with them. One that is not there is empty, so templates need not ask."""

    def __missing__(self, name: str) -> str:
        return ""


class Shown(NamedTuple):
    """A page to show: a template of `templates/`, and what it needs besides what every page has."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


class GoTo(NamedTuple):
    """Where the browser goes after something was done. `done` is a word of the section's, which is shown there."""

    path: str
    done: str = ""


class Download(NamedTuple):
    """A file for the browser to keep."""

    name: str
    media_type: str
    body: bytes


class Confirmation(NamedTuple):
    """Whether something is meant: what will happen, in numbers, and the name to type of what loses something.

    `action` is the path of the form, and `carried` its other fields. `once` is true if it makes a secret. `other` is
    another way, as a path and its words.
    """

    title: str
    crumbs: Sequence[tuple[str, str]]
    consequence: str
    effects: Sequence[str]
    name: str
    verb: str
    action: str
    back: str
    carried: Mapping[str, str] = {}
    once: bool = False
    other: tuple[str, str] | None = None

    def page(self, problem: str = "") -> Shown:
        """The page that asks."""
        return Shown("confirm.html", {**self._asdict(), "problem": problem}, 422 if problem else 200)


class NotMeant(Exception):
    """Something would end, and nobody has said yet that it is meant."""

    def __init__(self, question: Confirmation) -> None:
        super().__init__(question.title)
        self.question = question


class Visit:
    """One request of somebody who is signed in. `now` is epoch milliseconds.

    `origin` is the URL by which the person's browser reaches the admin listener. `data_flags` are those with which a
    command on the server's machine finds its data folder.
    """

    def __init__(
        self,
        administration: Administration,
        settings: Settings,
        person: Person,
        now: int,
        *,
        path: Mapping[str, str],
        query: Mapping[str, str],
        form: Mapping[str, str],
        origin: str,
        menu: Collection[str],
        data_flags: tuple[str, ...] = (),
        outside: object = None,
    ) -> None:
        self._administration = administration
        self.person = person
        self.settings = settings
        self.caller = person.caller
        self.now = now
        self.path = path
        self.query = query
        self.form = form
        self.origin = origin
        self.data_flags = data_flags
        self._menu = menu
        self._outside = outside
        self._meant = False

    @property
    def server(self) -> str:
        """Which server this is: the host by which its clients know it."""
        return urlsplit(self.settings.public_url()).netloc

    @property
    def who(self) -> str:
        """The name of the person: that of an admin key, or the actor of the audit trail."""
        return self.person.name or self.caller.actor.name

    def call(self, operation: Operation[Q, A], asked: Q) -> A:
        """Carry out an operation. Raises what `Administration.call_once` raises.

        If something must be done outside of the administration's thread, the whole page is made again after that. So a
        function asks only one thing that waits, and changes nothing before it. An operation that ends something comes
        after `require_meant` or `is_meant`.
        """
        if operation.ends and not self._meant:
            raise RuntimeError(f"nobody was asked whether {operation.name} is meant")
        outside = self._from_outside(operation)
        if operation.long:
            if outside is None:
                raise TakesLong(operation, asked, self.person.identity)
            return cast("A", outside)
        return self._administration.call_once(operation, asked, self.person.identity, outside)

    def _from_outside(self, operation: Operation[Any, Any]) -> Any:
        outside = self._outside if operation.waits or operation.long else None
        if isinstance(outside, Refused):
            raise outside
        return outside

    def is_meant(self, name: str) -> bool:
        """Whether the person typed the name of what loses something."""
        self._meant = " ".join(self.form.get("confirm", "").split()) == " ".join(name.split())
        return self._meant

    def require_meant(self, question: Confirmation | None) -> None:
        """Go on only if the person typed the name that a question asks for. Without a question nothing is lost.

        Raises:
            NotMeant: if they did not.
        """
        if question is None:
            self._meant = True
        elif not self.is_meant(question.name):
            raise NotMeant(question)

    def call_if_meant(self, operation: Operation[Q, A], asked: Q, ask: Callable[[], Confirmation | None]) -> A:
        """Carry out what a form spells. A question comes only if the operation would do it, so it repeats nothing else.

        Raises:
            NotMeant: if `ask` makes a question, and nobody typed its name. Besides what `call` raises.
        """
        self._administration.try_out(operation, asked, self.person.identity, self._from_outside(operation))
        self.require_meant(ask())
        return self.call(operation, asked)

    def typed(self) -> Fields:
        """The fields of the form, to show them again. One with a whole API key is empty: a page does not repeat it."""
        return Fields({name: "" if holds_key(text) else text for name, text in self.form.items()})

    def call_once(self, operation: Operation[Q, A], asked: Q) -> A:
        """The same for a page that shows a secret once: a form that is sent again, as a reload does, does nothing.

        Raises:
            FormUsed: if the form was sent before. InvalidRequest: if it has no id. Besides what `call` raises.
        """
        if not (form_id := self.form.get("once", "")):
            raise InvalidRequest("the form is not whole: load the page again")
        once = (self.person.sign_in.id_hash, form_id)
        use = self._administration.in_transaction(lambda store, now: use_form(store, *once, now))
        try:
            return self.call(operation, asked)
        except Exception:
            self._administration.in_transaction(lambda store, now: forget_use(store, use))
            raise

    def import_rows(self, batch: ImportBatch) -> shapes.ImportedKeys:
        """Import a batch of keys. Raises what `Administration.import_rows` raises."""
        return self._administration.import_rows(batch, self.person.identity)

    def pager(self, filters: Mapping[str, str], cursor: str | None) -> dict[str, str | None]:
        """Where a list leads from a page of it: `next` to the page at a cursor, and `first` back to its beginning."""
        given = {name: value for name, value in filters.items() if value}
        return {
            "next": f"?{urlencode({**given, 'cursor': cursor})}" if cursor else None,
            "first": f"?{urlencode(given)}" if "cursor" in self.query else None,
        }

    def leads_to(self, path: str) -> bool:
        """Whether the console has a page there that is for the person."""
        return path in self._menu

    @property
    def may_make_admins(self) -> bool:
        """Whether the person may make and change admin keys."""
        return may(self.caller, ADMIN_WRITE)

    def may_set(self, member: str) -> bool:
        """Whether the person may ever set this member of a key. Templates ask this."""
        return may_set(self.caller, member)

    def may(self, name: str, key: shapes.Key | None = None) -> bool:
        """Whether an operation of this name would be done, for this key if it changes one. Templates ask this."""
        operation = _BY_NAME[name]
        if not may(self.caller, operation.scope, delegated=operation.delegated):
            return False
        return operation.reads or key is None or may_change(self.caller, key.admin)


PageAnswer = Shown | GoTo | Download
PageHandler = Callable[[Visit], PageAnswer]


class View(NamedTuple):
    """An address below the console's, with the names of its parts in braces: `/keys/{key_id}`.

    `show` answers a GET and changes nothing, `act` a POST. `needs` is the operation that a caller must be allowed.
    `long` is true if the page asks so much that nothing else may wait for it.
    """

    path: str
    needs: Operation[Any, Any]
    show: PageHandler | None = None
    act: PageHandler | None = None
    long: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """The parts of a path, None if it is not this view's. A part is made of letters, digits, `_`, `-` and `.`."""
        found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9_-][A-Za-z0-9_.-]*)", self.path), path)
        return None if found is None else found.groupdict()


class Section(NamedTuple):
    """A page of the menu and all that is below it. `done` has the sentences that are shown after something was done."""

    name: str
    icon: str
    views: Sequence[View]
    done: Mapping[str, str] = {}
    in_menu: bool = True

    @property
    def path(self) -> str:
        """Where the menu leads to."""
        return self.views[0].path

    def is_for(self, caller: AdminCaller) -> bool:
        """Whether the menu shows it to a caller."""
        needs = self.views[0].needs
        return self.in_menu and may(caller, needs.scope, delegated=needs.delegated)
