"""The public routes as a raw ASGI application: finds the handler, and sends its answer.

Handlers turn bytes into use cases and answers into bytes. All decisions are made in `core` and `issuing`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from hourpass.core.errors import HourpassError, Unavailable, as_trouble
from hourpass.server.endpoints import api_key, documents, forward_auth, leaks, oauth
from hourpass.server.endpoints.cors import Cors, preflight
from hourpass.server.endpoints.openapi import describe
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.run.running import Running
from hourpass.server.settings.settings import Settings
from hourpass.server.telemetry.counts import FIRST_BUCKET
from hourpass.server.transport.asgi import Receive, Scope, Send, respond
from hourpass.server.transport.render import JSON_HEADERS, MethodNotAllowed, NoSuchRoute, oauth_error, problem
from hourpass.server.transport.request import Reply, Request, TooLarge
from hourpass.wire.shapes import (
    ExchangeRequest,
    OAuthTokenRequest,
    RefreshRequest,
    RotateRequest,
    TokenReference,
    encode,
    write_introspection,
)

VERIFY = "/auth/verify"
METADATA = "/.well-known/oauth-authorization-server"

_AT_ONCE = FIRST_BUCKET[VERIFY]

LEAKS_ROOM = 16
"""A report of leaked keys names many of them at once."""

FORM_ROOM = 2
"""A form may be twice as large as other bodies: its values are escaped, and it has more of them."""

Handler = Callable[[Issuer, Request], Awaitable[Reply | msgspec.Struct]]
"""Returns a shape of `wire`, or a complete `Reply`. The OpenAPI description is made from the declared return type."""


class Route(NamedTuple):
    """A handler for each method, how errors are rendered, and whether pages of other origins may use the route.

    `asks` is the shape of the request's body, for the OpenAPI description.
    """

    methods: Mapping[str, Handler]
    tell: Callable[[Exception, str], Reply] = problem
    cors: bool = False
    asks: type | None = None
    changes: bool = False
    """Whether the route changes something. A late change does harm, so the request is refused if it may have waited
    while this process stood still."""
    room: int = 1
    """How many times the usual body limit is allowed."""
    write: Callable[[Any], bytes] = encode
    """Writes the shape that a handler answers."""


class App:
    """The ASGI application. `running` is started before the first request, and stopped at the lifespan's end."""

    streams: Container[str] = ()

    def __init__(
        self, settings: Settings, running: Running, *, stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        self.settings = settings
        self.time = running.time
        self.clock = running.time.clock
        self.counts = running.counts
        self._stopwatch = stopwatch
        self._body_limit = settings.body_limit
        self._trusted_proxies = settings.trusted_proxies
        self.draining = False
        self.data_flags = running.data_flags
        self._running = running
        running.meter.values["check_accepting"] = lambda: float(not self.draining)
        self._issuer: Issuer | None = None
        self._starting = asyncio.Lock()
        self._prefix = settings.path_prefix
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._realm = settings.realm
        self._description = b""
        # An issuer's own path comes after the well-known one (RFC 8414 §3.1), so no prefix precedes that.
        self._metadata_path = METADATA + urlsplit(settings.public_url()).path
        self.routes = {
            "/auth/api-key": Route({"POST": api_key.exchange}, problem, True, ExchangeRequest, True),
            "/auth/refresh": Route({"POST": api_key.refresh}, problem, True, RefreshRequest, True),
            "/auth/rotate": Route({"POST": api_key.rotate}, problem, False, RotateRequest, True),
            "/oauth/token": Route({"POST": oauth.token}, oauth_error, True, OAuthTokenRequest, True, FORM_ROOM),
            "/oauth/revoke": Route({"POST": oauth.revoke}, oauth_error, True, TokenReference, True, FORM_ROOM),
            "/oauth/introspect": Route(
                {"POST": oauth.introspect},
                oauth_error,
                False,
                TokenReference,
                False,
                FORM_ROOM,
                write_introspection,
            ),
            "/.well-known/jwks.json": _reading(documents.jwks, cors=True),
            METADATA: _reading(documents.metadata, cors=True),
            "/auth/revocations": _reading(documents.revocations),
            "/openapi.json": _reading(self._openapi, cors=True),
            "/health/live": _reading(_live),
            "/health/ready": _reading(self._ready),
        }
        if settings.github_leaks != "off":
            self.routes["/leaks/github"] = Route({"POST": leaks.github}, changes=True, room=LEAKS_ROOM)

    @property
    def issuer(self) -> Issuer:
        """The use cases. Raises Unavailable before the application has started."""
        if self._issuer is None:
            raise Unavailable("not started yet")
        return self._issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the server."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        await respond(self, scope, receive, send)

    def body_limit(self, path: str) -> int:
        """The largest body for a path, in bytes."""
        route = self.routes.get(path) or self.routes.get(self._path(path))
        return self._body_limit * (1 if route is None else route.room)

    async def answer(self, request: Request) -> Reply:
        """The answer to a complete request."""
        path = request.path
        route = self.routes.get(path)
        if route is None and path != VERIFY:  # only now does the prefix matter: most requests skip this
            path = self._path(path)
            route = self.routes.get(path)
        request.now, request.trusted_proxies = self.clock(), self._trusted_proxies
        began = self._stopwatch()
        try:
            issuer = self._issuer or await self.start()
            if path == VERIFY:
                reply = await forward_auth.verify(issuer, request, self._realm)
            elif route is None:
                raise NoSuchRoute
            elif len(request.body) > self._body_limit * route.room:
                raise TooLarge
            elif (handler := route.methods.get(request.method)) is not None:
                if route.changes:
                    self.time.require_awake()
                answer = await handler(issuer, request)
                reply = answer if isinstance(answer, Reply) else Reply(200, JSON_HEADERS, route.write(answer))
            else:
                reply = self._other_method(request, route)
        except Exception as error:  # noqa: BLE001 - the outermost net: no error ever leaks
            reply = self._failed(path, error, problem if route is None else route.tell)
        self.counts.request(path, reply.status, self._stopwatch() - began)
        if self._cors is not None and route is not None and route.cors:
            return Reply(reply.status, [*reply.headers, *self._cors.headers(request)], reply.body)
        return reply

    def answer_at_once(self, request: Request) -> Reply | None:
        """The answer if it needs no waiting, such as forward auth for a token. None for everything else."""
        if request.path != VERIFY or self._issuer is None:
            return None
        request.now, request.trusted_proxies = self.clock(), self._trusted_proxies
        try:
            reply = forward_auth.verify_at_once(self._issuer, request, self._realm)
        except Exception as error:  # noqa: BLE001 - as in `answer`
            reply = self._failed(VERIFY, error, problem)
        if reply is not None:
            # Two looks at a clock would cost a tenth of such an answer. It is always in the first bucket.
            self.counts.cells[_AT_ONCE[reply.status]] += 1
        return reply

    async def authorize(self, request: Request, wanted: str) -> Reply:
        """What forward auth answers about a request: 204 with the identity headers, or the refusal to send.

        This is for a resource in the same process. `wanted` is a space-separated scope. The request's own query is left
        to the resource.
        """
        query = urlencode({"scope": wanted} if wanted else {}).encode()
        asked = Request(request.method, request.path, query, request.headers, request.peer)
        asked.now, asked.trusted_proxies = self.clock(), self._trusted_proxies
        try:
            return await forward_auth.verify(self._issuer or await self.start(), asked, self._realm)
        except Exception as error:  # noqa: BLE001 - as in `answer`
            return self._failed(request.path, error, problem)

    def _failed(self, path: str, error: Exception, tell: Callable[[Exception, str], Reply]) -> Reply:
        error = as_trouble(error)
        self._running.report(path, error)
        return tell(error, self._realm)

    def report(self, path: str, error: Exception) -> None:
        """Log an error that the operator must see."""
        self._running.report(path, error)

    def metrics(self) -> bytes:
        """The metrics of all workers, with those of this one as they are now."""
        return self._running.metrics()

    async def readiness(self, now: int) -> dict[str, str]:
        """The checks by name, each with `ok` or with what is wrong."""
        checks = {"accepting": "draining" if self.draining else "ok", "clock": self.time.readiness()}
        return {**checks, **await self.issuer.readiness(now)}

    async def _openapi(self, issuer: Issuer, request: Request) -> Reply:
        """This description of the interface."""
        if not self._description:  # made once, because it takes as long as a dozen exchanges
            self._description = encode(describe(self.routes, issuer.url))
        return documents.cacheable(self._description, request)

    async def _ready(self, issuer: Issuer, request: Request) -> Reply:
        """Whether requests should be sent here, with each check by name."""
        checks = await self.readiness(request.now)
        good = all(word == "ok" for word in checks.values())
        body = encode({"status": "ok" if good else "unavailable", "checks": checks})
        return Reply(200 if good else 503, JSON_HEADERS, body)

    def route(self, path: str) -> str | None:
        """The route of a path, as the contract writes it. None if it has none."""
        path = self._path(path)
        return path if path == VERIFY or path in self.routes else None

    def _path(self, path: str) -> str:
        """The path as the routes have it: without the prefix that we are served under."""
        return METADATA if path == self._metadata_path else path.removeprefix(self._prefix)

    async def start(self) -> Issuer:
        """Open the database and the ledger.

        A server does this at the start of the lifespan. A mounted application does it on the first request.
        """
        async with self._starting:
            if self._issuer is None:
                self._issuer = await self._running.start()
            return self._issuer

    async def stop(self) -> None:
        """Finish the requests under way, and close the database."""
        if self._issuer is not None:
            await self._running.stop()
            self._issuer = None

    def drain(self) -> None:
        """Report that this node is not ready any more, and answer all polls that wait."""
        self.draining = True
        self._running.background.leave(self.settings.drain_timeout)
        self.issuer.verification.close()
        self.issuer.ledger.news.close()

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        while (await receive())["type"] != "lifespan.shutdown":
            try:
                await self.start()
            except HourpassError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _other_method(self, request: Request, route: Route) -> Reply:
        methods = ", ".join(route.methods)
        if request.method == "OPTIONS" and route.cors and self._cors is not None and self._cors.allows(request):
            return preflight(methods)
        raise MethodNotAllowed(methods)


def _reading(handler: Handler, *, cors: bool = False) -> Route:
    return Route({"GET": handler, "HEAD": handler}, cors=cors)


async def _live(issuer: Issuer, request: Request) -> Reply:
    """Whether the process answers. It checks nothing else."""
    return Reply(200, JSON_HEADERS, encode({"status": "ok"}))
