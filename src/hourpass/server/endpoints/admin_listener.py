"""The admin listener's application: health, metrics, the console, and the admin API with the credentials for it."""

import secrets
import time
from collections.abc import Container

from hourpass.admin.operations import OPERATIONS, ROOT
from hourpass.core.errors import as_trouble
from hourpass.server.console.answers import InTheFrame, refusal_page
from hourpass.server.console.console import Console
from hourpass.server.console.guard import EVERY
from hourpass.server.console.pages import key_import
from hourpass.server.console.rendering import BASE
from hourpass.server.console.signing_in import LinkCommand
from hourpass.server.endpoints import api_key
from hourpass.server.endpoints.admin_api import AdminApi
from hourpass.server.endpoints.admin_import import IMPORT_LIMIT
from hourpass.server.endpoints.admin_problem import admin_problem, refused_reply, tell
from hourpass.server.endpoints.app import App
from hourpass.server.run.admin_work import AdminWork
from hourpass.server.telemetry.exposition import MEDIA_TYPE
from hourpass.server.transport.asgi import Receive, Scope, Send, respond
from hourpass.server.transport.render import NO_STORE, MethodNotAllowed, problem
from hourpass.server.transport.request import Headers, Reply, Request, TooLarge

CONNECTIONS = 256
"""The most connections to the admin listener: a collector of metrics, probes, operators, and polls for events."""

MOST_AT_ONCE = 192
"""Requests that may be under way. The other connections wait for a request or for their client, so that one of them
makes room for a probe."""

BODY_LIMIT = 64 * 1024
"""Bytes of a request to the admin API."""

STREAMS = frozenset(ROOT + operation.path for operation in OPERATIONS if operation.streams)

CREDENTIALS = {"/auth/api-key": api_key.exchange_admin, "/auth/refresh": api_key.refresh_admin}
"""What exchanges an admin key, and what refreshes its tokens: here, and not on the public address."""


class AdminApp:
    """What the admin listener at the address `listen` answers. It works while the public application does."""

    streams: Container[str] = STREAMS

    def __init__(self, app: App, listen: str) -> None:
        self._app = app
        self._settings = app.settings
        self._under_way = 0
        self._stopwatch = time.perf_counter
        self._work = AdminWork(app.settings, app.issuer, app.clock)
        self._api = AdminApi(app.settings, app.issuer, self._work, app.time.timer)
        link_command = LinkCommand(app.data_flags, listen, app.settings.database_url is not None)
        self._console = Console(app.settings, app.issuer, self._work, link_command, app.time.timer, self._told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as an ASGI application."""
        await respond(self, scope, receive, send)

    def body_limit(self, path: str) -> int:
        """The largest body for a path, in bytes."""
        if path in STREAMS:
            return IMPORT_LIMIT
        if path == BASE + key_import.PATH:
            return key_import.FORM_LIMIT
        return BODY_LIMIT if path.startswith((ROOT + "/", "/auth/", BASE + "/")) else 0

    def answer_at_once(self, request: Request) -> None:
        """Always None: no answer here is needed often enough."""

    async def answer(self, request: Request) -> Reply:
        """The answer to a complete request, with an id by which the log and the audit trail name it."""
        request_id, began = secrets.token_hex(8), self._stopwatch()
        reply = await self._answer(request, request_id)
        if request.path.startswith(ROOT + "/"):
            self._app.counts.request(ROOT, reply.status, self._stopwatch() - began)
        return _named(reply, request_id)

    def refusal(self, status: int) -> Reply:
        """The answer to a request that cannot be read, or one too many."""
        request_id = secrets.token_hex(8)
        return _named(_refused(status, request_id), request_id)

    async def _answer(self, request: Request, request_id: str) -> Reply:
        if request.path == "/metrics":
            return Reply(200, [(b"content-type", MEDIA_TYPE)], self._app.metrics())
        if request.path.startswith("/health/"):
            return await self._app.answer(request)
        if self._under_way >= MOST_AT_ONCE:
            return _refused(503, request_id)
        self._under_way += 1
        try:
            return await self._answer_anybody(request, request_id)
        finally:
            self._under_way -= 1

    async def _answer_anybody(self, request: Request, request_id: str) -> Reply:
        request.now, request.trusted_proxies = self._app.clock(), self._settings.trusted_proxies
        try:
            if len(request.body) > self.body_limit(request.path):
                raise TooLarge
            if self._is_console(request.path):
                if request.method == "POST":
                    self._app.time.require_awake()
                return await self._console.answer(request, request_id)
            if (handler := CREDENTIALS.get(request.path)) is None:
                return await self._api.answer(request, request_id)
            if request.method != "POST":
                raise MethodNotAllowed("POST")
            self._app.time.require_awake()
            return await handler(self._app.issuer, request)
        except Exception as error:  # noqa: BLE001 - the outermost net: no error ever leaks
            cause, page = (error.cause, error.page) if isinstance(error, InTheFrame) else (error, {})
            trouble = as_trouble(cause)
            if self._is_console(request.path):
                self._app.report(BASE, trouble)  # the path may hold a one-time link
                return refusal_page(*self._told(trouble), request_id, page)
            self._app.report(request.path, trouble)
            if request.path in CREDENTIALS:
                return problem(trouble)
            return admin_problem(trouble, self._settings.realm, request_id)

    def _told(self, error: Exception) -> tuple[int, str, Headers]:
        status, _, detail, *_, headers = tell(error, self._settings.realm)
        return status, detail, headers

    def _is_console(self, path: str) -> bool:
        return self._settings.console and (path in {"/", BASE} or path.startswith(BASE + "/"))

    async def close(self) -> None:
        """Finish the work under way."""
        await self._work.close()


def _refused(status: int, request_id: str) -> Reply:
    reply = refused_reply(status, request_id)  # its path may not be known, and it may be one of the console's
    return Reply(reply.status, [*reply.headers, *EVERY], reply.body)


def _named(reply: Reply, request_id: str) -> Reply:
    """The answer with its id, and kept by no cache."""
    names = {name for name, _ in reply.headers}
    more = [(b"x-request-id", request_id.encode()), *(NO_STORE if b"cache-control" not in names else [])]
    return Reply(reply.status, [*reply.headers, *more], reply.body)
