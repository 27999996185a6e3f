"""The ASGI middleware: a request reaches the application only with a credential that was judged, or on a public path.

For Starlette, FastAPI, Litestar, Quart and every other ASGI application, for HTTP and WebSockets. `guard.py` and the
verifier make all decisions.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from inspect import isawaitable
from typing import Any

from hourpass.core.authorization import KeySources, read_authorization, read_credential
from hourpass.core.errors import HourpassError
from hourpass.tracing import traced
from hourpass.verifier.guard import (
    Guard,
    Identity,
    KeyIdentity,
    Refusal,
    admit,
    identity_headers,
    is_ours,
    judged_owner,
    key_sources,
)
from hourpass.verifier.paths import Reader
from hourpass.verifier.verifier import Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = Sequence[tuple[bytes, bytes]]

ApiKeyPolicy = Callable[[str], KeyIdentity | Awaitable[KeyIdentity | None] | None]
"""Takes an API key from one of the accepted places, and returns its owner, or None if the key is refused."""


class HourpassMiddleware:
    """Judges every request. The application finds the identity in `scope["hourpass"]`, which is None on public paths.

    Args:
        app: the application behind it.
        verifier: judges tokens.
        api_keys: judges API keys, if you have a policy of your own for them.
        api_key_sources: where API keys may be, as in the server's setting. By default `["basic"]` if there is a policy,
            and nowhere if there is none. Without a policy the server is asked, and its answer is believed for 10 s.
        realm, public, scope, scopes, preflights: as for `Guard`.
    """

    def __init__(
        self,
        app: Application,
        *,
        verifier: Verifier,
        api_keys: ApiKeyPolicy | None = None,
        api_key_sources: Iterable[str] | None = None,
        realm: str = "hourpass",
        public: Iterable[str] = (),
        scope: str = "",
        scopes: Mapping[str, str] | None = None,
        preflights: bool = False,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._api_keys = api_keys
        self._sources = key_sources(api_key_sources, with_policy=api_keys is not None)
        self._reader = Reader(app)
        self._guard = Guard(realm=realm, public=public, scope=scope, scopes=scopes, preflights=preflights)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket. The lifespan passes."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # First of all: only we may say who sent the request.
        headers = cleansed(scope["headers"])
        method: str = scope.get("method", "GET")
        path = self._reader.read(scope)
        preflight = any(name == b"access-control-request-method" for name, _ in headers)
        if self._guard.passes(method, path, preflight=preflight):
            _put(scope, headers, None)
            await self._app(scope, receive, send)
            return
        try:
            identity = await identify(self._verifier, self._api_keys, self._sources, headers, scope.get("client"))
            if identity is not None:
                admit(identity, self._guard.needed(method, path))
        except HourpassError as error:
            await _refuse(self._guard.refusal(error), scope, receive, send)
            return
        if identity is None:
            await _refuse(self._guard.refusal(None), scope, receive, send)
            return
        _put(scope, [*headers, *vouched(identity)], identity)
        await self._app(scope, receive, send)


@traced("hourpass.verify")
async def identify(
    verifier: Verifier,
    api_keys: ApiKeyPolicy | None,
    sources: KeySources,
    headers: RawHeaders,
    client: Sequence[Any] | None,
) -> Identity | None:
    """Who sent a request, by its headers. None if it has no credential that is accepted here.

    Raises:
        InvalidRequest: the Authorization header is malformed.
        InvalidToken: the credential is refused.
        Unavailable: the credential cannot be judged now.
    """
    if sources.headers:
        credential = read_credential([(name.lower(), value) for name, value in headers], sources)
    else:
        values = [value for name, value in headers if name.lower() == b"authorization"]
        credential = read_authorization(values, sources)
    if isinstance(credential, bytes):
        return await verifier.verify_async(credential)
    if credential is None or not sources.accepts(credential):
        return None
    if api_keys is None:
        return await verifier.verify_key_async(credential, client[0] if client else None)
    judged = api_keys(credential.unverified_key)
    owner = await judged if isawaitable(judged) else judged
    return judged_owner(owner, verifier.environment)


def cleansed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without the identity headers that a client has sent."""
    return [(name, value) for name, value in headers if not is_ours(name.decode("latin-1"))]


def vouched(identity: Identity) -> list[tuple[bytes, bytes]]:
    """The headers that tell the application who sent the request."""
    return [(name.lower().encode(), value.encode()) for name, value in identity_headers(identity)]


def _put(scope: Scope, headers: list[tuple[bytes, bytes]], identity: Identity | None) -> None:
    """Change the scope itself, not a copy: middleware around us reads from it what the router leaves there."""
    scope["headers"] = headers
    scope["hourpass"] = identity
    # Litestar's own middleware, such as the one for CORS, has read the client's headers and keeps them here.
    kept: Any = (scope.get("state") or {}).get("_ls_connection_state")
    if kept is not None:
        from litestar.types import Empty  # noqa: PLC0415 - only Litestar puts this there

        kept.headers = Empty


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer instead of the application. A WebSocket is refused before it is accepted."""
    prefix = "http.response"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            # The server answers this with 403. Without the extension no other answer is possible.
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket.http.response"
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": f"{prefix}.start", "status": refusal.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else refusal.body
    await send({"type": f"{prefix}.body", "body": body})
