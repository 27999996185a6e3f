"""Answers the requests of the console: what anybody gets, who may ask for the rest, and how often.

A request with nothing that looks like a sign-in never gets to the administration's thread.
"""

from collections.abc import Callable
from functools import partial

from hourpass.core.admin_host import is_known_host, is_own_page
from hourpass.core.sign_in import SignIn, hash_of
from hourpass.server.console.answers import RefusedHere, Tell, refusal_page, way_to
from hourpass.server.console.assets import asset_answer
from hourpass.server.console.browser_request import BrowserRequest
from hourpass.server.console.guard import host_of, text_of
from hourpass.server.console.rendering import BASE
from hourpass.server.console.signed_in import answer_person, is_long, who_is_signed_in
from hourpass.server.console.signing_in import SIGN_OUTS, STRANGERS, LinkCommand, SigningIn, way_to_sign_in
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.run.admin_work import AdminWork
from hourpass.server.settings.settings import Settings
from hourpass.server.transport.render import MethodNotAllowed
from hourpass.server.transport.request import Reply, Request

METHODS = ("GET", "HEAD", "POST")

MOST_KNOWN = 1_000
"""Sign-ins that a node remembers, to know whose request it is before it asks the database."""


class Console:
    """The pages. `link_command` is the command that lets people in. `timer` is milliseconds that nobody can set."""

    def __init__(
        self,
        settings: Settings,
        issuer: Issuer,
        work: AdminWork,
        link_command: LinkCommand,
        timer: Callable[[], int],
        told: Tell,
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._work = work
        self._link_command = link_command
        self._timer = timer
        self._told = told
        self._signing_in = SigningIn(issuer, work, timer, settings.workers, link_command)
        self._known: dict[bytes, str] = {}

    async def answer(self, request: Request, request_id: str) -> Reply:
        """The answer to a request for `/console` or below.

        Raises:
            Refused, Unavailable: what the caller renders with `refusal_page`.
        """
        try:
            return await self._answer(request, request_id)
        except RefusedHere as error:
            return refusal_page(error.status, error.detail, [], request_id)

    async def _answer(self, request: Request, request_id: str) -> Reply:
        if request.path in {"/", BASE}:
            return way_to("/")
        path = request.path.removeprefix(BASE)
        if not is_known_host(host_of(request), self._settings.admin_hosts, self._link_command.listen):
            named = host_of(request) or "without a name"
            raise RefusedHere(421, f"the console is not known as {named}: add the name to admin_hosts")
        if request.method not in METHODS:
            raise MethodNotAllowed(", ".join(METHODS))
        if path.startswith("/assets/"):
            return asset_answer(path.removeprefix("/assets/"), request)
        if request.method == "POST" and not is_own_page(
            text_of(request, b"sec-fetch-site"), text_of(request, b"origin"), host_of(request)
        ):
            raise RefusedHere(403, "the form came from another site")
        asked = BrowserRequest(request, request_id, path)
        if path == "/sign-in" or path.startswith("/sign-in/"):
            return await self._signing_in.answer(asked)
        if not asked.ids or (who := await self._who(asked)) is None:
            return way_to_sign_in(asked)
        if path in SIGN_OUTS:  # a thief of the cookie must not keep its owner from ending it
            return await self._answer_person(asked, who)
        with self._work.calls.admit(who, self._timer()):
            return await self._answer_person(asked, who)

    async def _answer_person(self, asked: BrowserRequest, who: str) -> Reply:
        answer = partial(answer_person, self._settings, self._link_command.data_flags, self._told, asked)
        reply = await self._work.page(who, answer, long=is_long(asked.path))
        if reply is None:
            self._forget(asked, who)
            return way_to_sign_in(asked)
        if asked.is_post:
            await self._issuer.verification.observe(asked.now)
        return reply

    async def _who(self, asked: BrowserRequest) -> str | None:
        """Who is or was signed in, for the limits. What the person may do is decided in the thread."""
        for each in asked.ids:
            if (who := self._known.get(hash_of(each))) is not None:
                return who
        found = await self._work.in_thread(STRANGERS, partial(who_is_signed_in, asked))
        return None if found is None else self._remember(found[1].sign_in)

    def _forget(self, asked: BrowserRequest, who: str) -> None:
        """Who was signed in is not any more: who has the cookie still must not use up their calls."""
        for each in asked.ids:
            self._known.pop(hash_of(each), None)
        if asked.path not in SIGN_OUTS:
            self._work.calls.give_back(who)

    def _remember(self, one: SignIn) -> str:
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[one.id_hash] = one.who
        return one.who
