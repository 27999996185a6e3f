"""The FastAPI dependency: a route names the scopes that it needs, and the API's OpenAPI page shows them.

    app.add_middleware(HourpassMiddleware, verifier=verifier, public=["/openapi.json", "/docs"])

    @app.get("/videos")
    async def videos(claims: Annotated[Claims, Depends(require("videos.read"))]): ...

It uses the identity that the middleware found. Without the middleware, give it a verifier.
"""

from collections.abc import Iterable
from inspect import Parameter, Signature

from fastapi import HTTPException, Security, WebSocket, WebSocketException
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPBearer

from hourpass.core.errors import HourpassError
from hourpass.verifier.asgi import ApiKeyPolicy, identify
from hourpass.verifier.guard import Guard, Identity, Refusal, admit, key_sources
from hourpass.verifier.verifier import Verifier


class _Scheme(HTTPBearer):
    """The scheme on the OpenAPI page. It judges nothing, so it also works for a WebSocket, which has no `Request`."""

    async def __call__(self, connection: HTTPConnection) -> None:
        """Do nothing."""


_SCHEME = _Scheme(
    scheme_name="hourpass",
    bearerFormat="JWT",
    description="An access token of `POST /auth/api-key`, good for an hour.",
    auto_error=False,
)


def require(
    *scopes: str,
    verifier: Verifier | None = None,
    api_keys: ApiKeyPolicy | None = None,
    api_key_sources: Iterable[str] | None = None,
    realm: str = "hourpass",
) -> "Require":
    """A dependency that returns who sent the request, if the token has all of the scopes.

    For routes and WebSockets. Two dependencies with the same arguments are equal, so you can override a route's one
    with `app.dependency_overrides[require("videos.read")]`. `verifier`, `api_keys` and `api_key_sources` are for an
    application without the middleware.

    Raises:
        ConfigurationError: a scope, a source of keys or the realm is not valid.
        HTTPException: from the dependency, with the status and the challenge of RFC 6750 §3.
        WebSocketException: the same before a WebSocket opens, which a server answers with 403.
    """
    return Require(scopes, verifier, api_keys, api_key_sources, realm)


class Require:
    """The dependency that `require` makes."""

    def __init__(
        self,
        scopes: tuple[str, ...],
        verifier: Verifier | None,
        api_keys: ApiKeyPolicy | None,
        api_key_sources: Iterable[str] | None,
        realm: str,
    ) -> None:
        self._guard = Guard(realm=realm, scope=" ".join(scopes))
        self._verifier = verifier
        self._api_keys = api_keys
        self._sources = key_sources(api_key_sources, with_policy=api_keys is not None)
        wanted = [scope for each in scopes for scope in each.split()]
        self._same = frozenset(wanted), verifier, api_keys, self._sources, realm
        security = Security(_SCHEME, scopes=wanted)
        # FastAPI reads the arguments of the call from here.
        self.__signature__ = Signature(
            [
                Parameter("connection", Parameter.KEYWORD_ONLY, annotation=HTTPConnection),
                Parameter("scheme", Parameter.KEYWORD_ONLY, annotation=object, default=security),
            ]
        )

    async def __call__(self, *, connection: HTTPConnection, scheme: object = None) -> Identity:
        """Return the identity of one request or WebSocket."""
        identity: Identity | None = connection.scope.get("hourpass")
        try:
            if identity is None and self._verifier is not None:
                scope = connection.scope
                identity = await identify(
                    self._verifier, self._api_keys, self._sources, scope["headers"], scope.get("client")
                )
            if identity is not None:
                return admit(identity, self._guard.needed("GET", "/"))
        except HourpassError as error:
            raise _refused(self._guard.refusal(error), connection) from error
        raise _refused(self._guard.refusal(None), connection)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same scopes, verifier, policy and realm."""
        return isinstance(other, Require) and self._same == other._same

    def __hash__(self) -> int:
        """The same for equal dependencies."""
        return hash(self._same)


def _refused(refusal: Refusal, connection: HTTPConnection) -> HTTPException | WebSocketException:
    if isinstance(connection, WebSocket):
        return WebSocketException(1013 if refusal.status == 503 else 1008)
    return _http(refusal)


def _http(refusal: Refusal) -> HTTPException:
    words = {400: "Malformed", 401: "Unauthorized", 403: "Forbidden", 503: "Unavailable"}
    headers = {name: value for name, value in refusal.headers if name in ("WWW-Authenticate", "Retry-After")}
    return HTTPException(refusal.status, words.get(refusal.status, "Failed"), {**headers, "Cache-Control": "no-store"})
