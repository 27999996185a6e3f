"""The public routes, as a raw ASGI application: bytes -> wire -> use case -> wire -> bytes.

The one place that renders errors. Everything here is spelling; what is decided, is decided in `core` and `issuer`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, NamedTuple, assert_never
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from hourpass import wire
from hourpass.core.api_key import ApiKey, in_networks, normal_scope, parse_api_key
from hourpass.core.authorization import Basic, Bearer, parse_authorization
from hourpass.core.claims import Claims
from hourpass.core.errors import (
    HourpassError,
    InsufficientScope,
    InvalidCredentials,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidToken,
    Throttled,
    Unavailable,
    UnsupportedGrantType,
)
from hourpass.server.config import Settings
from hourpass.server.issuer import Issuer, TokenPair, Wish

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Clock = Callable[[], int]
Headers = list[tuple[bytes, bytes]]

METADATA = "/.well-known/oauth-authorization-server"

JWKS_MAX_AGE = 300
"""Seconds; half of the time that a key is published before it signs."""

_JSON_HEADERS = [(b"content-type", wire.JSON), (b"cache-control", b"no-store")]
_NO_STORE = [(b"cache-control", b"no-store")]
_CORS_REQUEST_HEADERS = b"Authorization, Content-Type, AV-Origin-Client, AV-Origin-App, AV-Origin-Sdk, Content-Range"


class Reply(NamedTuple):
    """A whole answer. The content length is added on the way out."""

    status: int
    headers: Headers
    body: bytes = b""


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    """The client left before its request was whole."""


class _Request:
    """A request as the handlers see it; the body is read when one asks for it."""

    def __init__(self, app: "App", scope: Scope, receive: Receive) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self.now = app.clock()

    async def body(self) -> bytes:
        message = await self._receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            if len(body) > self._app.body_limit:
                raise _TooLarge
            message = await self._receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise _Gone
        if len(body) > self._app.body_limit:
            raise _TooLarge
        return body

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self._scope["headers"] if key == name), None)

    def query(self) -> bytes:
        return bytes(self._scope.get("query_string", b""))

    def address(self) -> str | None:
        client = self._scope.get("client")
        peer: str | None = client[0] if client else None
        if not self._app.trusted_proxies:
            return peer
        # Lines of one name are one list (RFC 9110 §5.3): a proxy may have appended its own line.
        forwarded = [value for key, value in self._scope["headers"] if key == b"x-forwarded-for"]
        return _client_address(peer, b",".join(forwarded), self._app.trusted_proxies) if forwarded else peer


class _Client(NamedTuple):
    """An OAuth 2 client: the key it proved, or only the id it mentioned, or neither."""

    key: ApiKey | None
    client_id: str | None

    def proven(self) -> ApiKey:
        if self.key is None:
            raise InvalidCredentials("no client credentials")
        return self.key


Handler = Callable[[_Request], Awaitable[Reply]]
ErrorRenderer = Callable[[Exception], Reply]


class _Route(NamedTuple):
    methods: Mapping[str, Handler]
    render: ErrorRenderer
    cors: bool = False


class App:
    """The ASGI application. `start` is awaited before the first request, `stop` at the lifespan's end."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        start: Callable[["App"], Awaitable[Issuer]],
        stop: Callable[["App"], Awaitable[None]],
        report: Callable[["App", str, Exception], None],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.body_limit = settings.body_limit
        self.trusted_proxies = settings.trusted_proxies
        self.draining = False
        self.counts: Counter[str] = Counter()
        self._start = start
        self._stop = stop
        self._report = report
        self._issuer: Issuer | None = None
        self._starting = asyncio.Lock()
        self._prefix = settings.path_prefix
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._realm = settings.realm
        get = ("GET", "HEAD")
        self._verify_path = "/auth/verify"
        # An issuer's own path comes after the well-known one (RFC 8414 §3.1), so no prefix precedes that.
        self._metadata_path = METADATA + urlsplit(settings.public_url()).path
        self._routes: dict[str, _Route] = {
            "/auth/api-key": _Route({"POST": self._exchange}, self._problem, cors=True),
            "/auth/refresh": _Route({"POST": self._refresh}, self._problem, cors=True),
            "/oauth/token": _Route({"POST": self._oauth_token}, self._oauth_error, cors=True),
            "/oauth/revoke": _Route({"POST": self._oauth_revoke}, self._oauth_error, cors=True),
            "/oauth/introspect": _Route({"POST": self._oauth_introspect}, self._oauth_error),
            "/.well-known/jwks.json": _Route(dict.fromkeys(get, self._jwks), self._problem, cors=True),
            METADATA: _Route(dict.fromkeys(get, self._metadata), self._problem, cors=True),
            "/health/live": _Route(dict.fromkeys(get, self._live), self._problem),
            "/health/ready": _Route(dict.fromkeys(get, self._ready), self._problem),
        }

    @property
    def issuer(self) -> Issuer:
        """The use cases; there once the application has started."""
        if self._issuer is None:
            raise Unavailable("not started yet")
        return self._issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's lifespan."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path = self._path(scope)
        route = self._routes.get(path)
        try:
            if self._issuer is None:
                await self.start()
            if path == self._verify_path:
                reply = await self._verify(scope)
            elif route is None:
                reply = self._problem(_NoSuchRoute())
            elif (handler := route.methods.get(scope["method"])) is None:
                reply = self._other_method(scope, route)
            else:
                reply = await handler(_Request(self, scope, receive))
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - the outermost net: whatever it is, it never leaks
            if not isinstance(error, _TooLarge):
                self._report(self, path, error)
            reply = self._problem(error) if route is None else route.render(error)
        status, headers, body = reply
        if self._origins and route is not None and route.cors:
            headers = [*headers, *self._cors(scope)]
        if status != 204:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _path(self, scope: Scope) -> str:
        """The path as the routes know it: without the prefix that we are served or mounted under."""
        path: str = scope["path"]
        prefix = self._prefix or scope.get("root_path") or ""
        if path == self._metadata_path:
            return METADATA
        return path[len(prefix) :] if prefix and path.startswith(prefix) else path

    async def start(self) -> None:
        """Open the database and the ledger.

        Serving does it through the lifespan; a mounted application on first use.
        """
        async with self._starting:
            if self._issuer is None:
                self._issuer = await self._start(self)

    async def stop(self) -> None:
        """Finish what is under way and let go of the database."""
        if self._issuer is not None:
            await self._stop(self)
            self._issuer = None

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

    def _other_method(self, scope: Scope, route: _Route) -> Reply:
        methods = ", ".join(route.methods)
        if scope["method"] != "OPTIONS" or not route.cors or len(self._cors(scope)) < 2:
            return self._problem(_MethodNotAllowed(methods))
        return Reply(
            204,
            [
                (b"access-control-allow-methods", methods.encode()),
                (b"access-control-allow-headers", _CORS_REQUEST_HEADERS),
                (b"access-control-max-age", b"600"),
            ],
        )

    def _cors(self, scope: Scope) -> Headers:
        # Without Vary a shared cache would serve one origin's answer, or none's, to another (Fetch §3.2.7).
        vary = (b"vary", b"Origin")
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None or not (origin in self._origins or b"*" in self._origins):
            return [vary]
        return [(b"access-control-allow-origin", origin), vary]

    # The source's token endpoints.

    async def _exchange(self, request: _Request) -> Reply:
        asked = wire.read_exchange(await request.body())
        wish = Wish(asked.scope, asked.expires_in, asked.audience)
        return _pair(await self.issuer.exchange(asked.api_key, wish, request.address(), request.now))

    async def _refresh(self, request: _Request) -> Reply:
        asked = wire.read_refresh(await request.body())
        wish = Wish(asked.scope, asked.expires_in)
        return _pair(await self.issuer.refresh(asked.refresh_token, wish, request.address(), request.now))

    # OAuth 2.

    async def _oauth_token(self, request: _Request) -> Reply:
        form = await self._form(request)
        wish = Wish(scope=form.get("scope"))
        address = request.address()
        match form.get("grant_type"):
            case "client_credentials":
                pair = await self.issuer.open((await self._client(request, form, address)).proven(), wish, request.now)
            case "refresh_token":
                client = await self._client(request, form, address)
                token = form.get("refresh_token")
                if token is None:
                    raise InvalidRequest("refresh_token is missing")
                pair = await self.issuer.refresh(token, wish, address, request.now, client_id=client.client_id)
            case None:
                raise InvalidRequest("grant_type is missing")
            case _:
                raise UnsupportedGrantType("client_credentials and refresh_token are supported")
        return _pair(pair, oauth=True)

    async def _oauth_revoke(self, request: _Request) -> Reply:
        form = await self._form(request)
        client = await self._client(request, form, request.address())
        if "token" not in form:
            raise InvalidRequest("token is missing")
        await self.issuer.revoke(form["token"], request.now, client_id=client.client_id)
        return Reply(200, _NO_STORE)

    async def _oauth_introspect(self, request: _Request) -> Reply:
        form = await self._form(request)
        caller = (await self._client(request, form, request.address())).proven()
        if "token" not in form:
            raise InvalidRequest("token is missing")
        return Reply(200, _JSON_HEADERS, wire.encode(await self.issuer.introspect(form["token"], caller, request.now)))

    async def _form(self, request: _Request) -> dict[str, str]:
        media_type = (request.header(b"content-type") or b"").split(b";")[0].strip().lower()
        if media_type != wire.FORM.encode():
            raise InvalidRequest(f"the body has to be {wire.FORM}")
        return wire.read_form(await request.body())

    async def _client(self, request: _Request, form: Mapping[str, str], address: str | None) -> "_Client":
        """Who the client says it is, and whether it proved that (RFC 6749 §2.3.1).

        The key id and the key are client id and secret; the whole key as either also works. An id that contradicts the
        key is refused.
        """
        header = request.header(b"authorization")
        try:
            basic = parse_authorization(header) if header is not None else None
        except InvalidToken as error:
            raise InvalidCredentials("broken Authorization header") from error
        if isinstance(basic, Basic):
            if "client_secret" in form:
                raise InvalidRequest("client credentials in two places")
            client_id, secret = unquote_plus(basic.unverified_user), unquote_plus(basic.unverified_password)
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
            if not secret and parse_api_key(client_id) is None:
                # An id alone proves nothing, but it may not contradict what it comes with.
                return _Client(None, client_id or None)
        key = await self.issuer.authenticate(secret or client_id, address, request.now, throttled=True)
        mentioned = {client_id, form.get("client_id", "")}
        if not mentioned <= {"", key.key_id, secret or client_id}:
            raise InvalidCredentials("client_id contradicts the key")
        return _Client(key, key.key_id)

    # Forward auth.

    async def authorize(self, scope: Scope, wanted: str) -> Reply:
        """What forward auth answers about a request: 204 with the identity headers, or the refusal to send.

        For a resource beside us in the same process. `wanted` is space-separated; the request's own query is the
        resource's business.
        """
        try:
            if self._issuer is None:
                await self.start()
            return await self._verify({**scope, "query_string": urlencode({"scope": wanted}).encode()})
        except Exception as error:  # noqa: BLE001 - as in `__call__`
            self._report(self, scope["path"], error)
            return self._problem(error)

    async def _verify(self, scope: Scope) -> Reply:
        value: bytes | None = None
        try:
            for name, content in scope["headers"]:
                if name == b"authorization":
                    if value is not None:
                        raise InvalidToken("malformed", "two Authorization headers")
                    value = content
            query: bytes = scope.get("query_string", b"")
            wanted = _scopes_of(query) if query else ""
            if value is None:
                return self._challenge(None)
            if value[:7] == b"Bearer " and value[7:8] != b" ":
                # The common case, without building anything. What is not a token is found out by the verifier.
                return _token_identity(self.issuer.verify(value[7:].rstrip(b" \t"), self.clock(), wanted))
            match parse_authorization(value):
                case Bearer(token):
                    return _token_identity(self.issuer.verify(token, self.clock(), wanted))
                case Basic(user, _):
                    request = _Request(self, scope, _no_body)
                    key = await self.issuer.verify_api_key(user, request.address(), request.now, wanted)
                    return _key_identity(key)
                case None:
                    return self._challenge(None)
        except (InvalidToken, InvalidCredentials, InsufficientScope) as error:
            return self._challenge(error)

    def _challenge(self, error: InvalidToken | InvalidCredentials | InsufficientScope | None) -> Reply:
        """RFC 6750 §3: no error code where no credential came."""
        realm = f'Bearer realm="{self._realm}"'
        match error:
            case None:
                return Reply(401, [(b"www-authenticate", realm.encode()), *_NO_STORE])
            case InsufficientScope():
                value = f'{realm}, error="insufficient_scope", scope="{error.scope}"'
                return Reply(403, [(b"www-authenticate", value.encode()), *_NO_STORE])
            case InvalidToken():
                problem: str = error.problem
            case InvalidCredentials():
                problem = error.reason if error.reason in ("expired", "revoked") else "malformed"
            case _:
                assert_never(error)
        value = f'{realm}, error="invalid_token", error_description="{problem}"'
        return Reply(401, [(b"www-authenticate", value.encode()), *_NO_STORE])

    # What verifiers and clients discover.

    async def _jwks(self, request: _Request) -> Reply:
        body = wire.encode({"keys": self.issuer.jwks(request.now)})
        etag = b'"%b"' % sha256(body).hexdigest()[:16].encode()
        headers = [(b"cache-control", b"public, max-age=%d" % JWKS_MAX_AGE), (b"etag", etag)]
        if etag in (request.header(b"if-none-match") or b""):
            return Reply(304, headers)
        return Reply(200, [(b"content-type", wire.JSON), *headers], body)

    async def _metadata(self, request: _Request) -> Reply:
        url = self.issuer.url
        methods = ["client_secret_basic", "client_secret_post"]
        body = {
            "issuer": url,
            "token_endpoint": f"{url}/oauth/token",
            "jwks_uri": f"{url}/.well-known/jwks.json",
            "revocation_endpoint": f"{url}/oauth/revoke",
            "introspection_endpoint": f"{url}/oauth/introspect",
            "grant_types_supported": ["client_credentials", "refresh_token"],
            "response_types_supported": ["none"],
            "token_endpoint_auth_methods_supported": [*methods, "none"],
            "revocation_endpoint_auth_methods_supported": [*methods, "none"],
            "introspection_endpoint_auth_methods_supported": methods,
        }
        headers = [(b"content-type", wire.JSON), (b"cache-control", b"public, max-age=%d" % JWKS_MAX_AGE)]
        return Reply(200, headers, wire.encode(body))

    async def _live(self, request: _Request) -> Reply:
        return Reply(200, _JSON_HEADERS, wire.encode({"status": "ok"}))

    async def _ready(self, request: _Request) -> Reply:
        checks = await self.readiness(request.now)
        good = all(word == "ok" for word in checks.values())
        body = wire.encode({"status": "ok" if good else "unavailable", "checks": checks})
        return Reply(200 if good else 503, _JSON_HEADERS, body)

    async def readiness(self, now: int) -> dict[str, str]:
        """Each named check with `ok` or what is wrong."""
        checks = {"accepting": "draining" if self.draining else "ok"}
        return {**checks, **await self.issuer.readiness(now)}

    # Errors: every one that a caller sees is made here.

    def _problem(self, error: Exception) -> Reply:
        status, title, headers = 500, "The server failed.", []
        name, reason, problems = "", None, None
        match error:
            case InvalidRequest():
                status, name = 400, error.name
                title = "Invalid attributes." if error.name else "The payload is invalid."
                if len(error.names) > 1:
                    problems = [{"type": "about:blank", "title": title, "name": each} for each in error.names]
            case InvalidScope():
                status, title, name = 400, "Invalid attributes.", "scope"
            case InvalidCredentials():
                status, title, reason = 400, "The user credentials were incorrect.", error.reason
            case InvalidGrant():
                status, title, reason = 400, "The refresh token is invalid.", error.reason
            case Throttled():
                status, title = 429, "Too many requests."
                headers = [(b"retry-after", b"%d" % error.retry_after)]
            case Unavailable():
                status, title = 503, "The service is unavailable for a moment."
                headers = [(b"retry-after", b"%d" % error.retry_after)]
            case _TooLarge():
                status, title = 413, "The payload is too large."
            case _NoSuchRoute():
                status, title = 404, "Unrecognized request URL."
            case _MethodNotAllowed():
                status, title = 405, "Method is not allowed for this route."
                headers = [(b"allow", error.allow.encode())]
            case _:
                pass
        problem = wire.Problem("about:blank", title, name, status, reason, problems)
        return Reply(status, [(b"content-type", wire.PROBLEM), *_NO_STORE, *headers], wire.encode(problem))

    def _oauth_error(self, error: Exception) -> Reply:
        """RFC 6749 §5.2. What is not an OAuth 2 error is a problem."""
        status, headers, reason = 400, list(_JSON_HEADERS), None
        match error:
            case InvalidCredentials():
                status = 401
                headers.append((b"www-authenticate", f'Basic realm="{self._realm}"'.encode()))
            case InvalidGrant():
                reason = error.reason
            case InsufficientScope():
                status = 403
            case InvalidRequest() | InvalidScope() | UnsupportedGrantType():
                pass
            case _:
                return self._problem(error)
        description = _OAUTH_WORDS.get(type(error)) or error.detail
        return Reply(status, headers, wire.encode(wire.OAuthError(error.code, description, reason)))


class _NoSuchRoute(Exception):
    pass


class _MethodNotAllowed(Exception):
    def __init__(self, allow: str) -> None:
        super().__init__()
        self.allow = allow


_OAUTH_WORDS: dict[type[Exception], str] = {
    InvalidCredentials: "The client credentials were incorrect.",
    InvalidGrant: "The refresh token is invalid.",
    InvalidScope: "A requested scope is unknown or not owned.",
}


def _pair(pair: TokenPair, *, oauth: bool = False) -> Reply:
    scope = pair.scope if oauth else None
    return Reply(
        200, _JSON_HEADERS, wire.write_token_answer(pair.access_token, pair.refresh_token, pair.expires_in, scope)
    )


@lru_cache(maxsize=4096)
def _identity(subject: str, key_id: str, scope: str, environment: str, grant: str, auth: str) -> Reply:
    """Every header is always there, so that a client's forged one never survives a proxy that only overwrites."""
    return Reply(
        204,
        [
            (b"hourpass-subject", subject.encode()),
            (b"hourpass-key-id", key_id.encode()),
            (b"hourpass-scope", scope.encode()),
            (b"hourpass-environment", environment.encode()),
            (b"hourpass-grant", grant.encode()),
            (b"hourpass-auth", auth.encode()),
        ],
    )


def _token_identity(claims: Claims) -> Reply:
    return _identity(claims.sub, claims.client_id, claims.scope, claims.env, claims.sid, "bearer")


def _key_identity(key: ApiKey) -> Reply:
    return _identity(key.subject, key.key_id, key.scope, key.environment, "", "api-key")


@lru_cache(maxsize=256)
def _scopes_of(query: bytes) -> str:
    """The scopes that a verify URL asks for: several, in one value or in repeated parameters, mean all of them."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError as error:
        raise InvalidRequest("the query is malformed") from error
    wanted = dict.fromkeys(scope for name, value in pairs if name == "scope" for scope in value.split())
    if normal_scope(" ".join(wanted)) is None:
        raise InvalidRequest("the query asks for what is no scope")
    return " ".join(wanted)


@lru_cache(maxsize=4096)
def _client_address(peer: str | None, forwarded_for: bytes, trusted: tuple[str, ...]) -> str | None:
    """Whom a request came from: the nearest address that is not one of the trusted proxies."""
    if peer is None:
        return None
    address = peer
    for hop in reversed(forwarded_for.decode("latin-1").split(",")):
        try:
            if not in_networks(address, trusted):
                break
            address = str(ip_address(hop.strip()))
        except ValueError:
            break
    return address


async def _no_body() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b""}
