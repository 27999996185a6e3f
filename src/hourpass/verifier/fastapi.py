"""The FastAPI dependency: a route says which scope it needs, and the API's OpenAPI page says so, too.

    app.add_middleware(HourpassMiddleware, verifier=verifier, public=["/openapi.json", "/docs"])

    @app.get("/videos")
    async def videos(claims: Annotated[Claims, Depends(require("videos.read"))]): ...

It judges by what the middleware found, or, without one, by a verifier of its own.
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
    """Stands on the OpenAPI page. It judges nothing, and so has no need of a `Request`, which a WebSocket is not."""

    async def __call__(self, connection: HTTPConnection) -> None:
        """Nothing."""


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
    """A dependency that answers who the request is from, if the token holds all of the scopes.

    For routes and WebSockets. Two that need the same are equal, so `app.dependency_overrides[require("videos.read")]`
    is the one of the route. `verifier`, `api_keys` and `api_key_sources` are for an application without the middleware.

    Raises:
        ConfigurationError: if a scope, a source of keys or the realm is not one.
        HTTPException: from the dependency, with the status and the challenge of RFC 6750 §3.
        WebSocketException: the same before a WebSocket opens, which a server answers with 403.
    """
    return Require(scopes, verifier, api_keys, api_key_sources, realm)


class Require:
    """What `require` makes."""

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
        # FastAPI reads here what to call it with.
        self.__signature__ = Signature(
            [
                Parameter("connection", Parameter.KEYWORD_ONLY, annotation=HTTPConnection),
                Parameter("scheme", Parameter.KEYWORD_ONLY, annotation=object, default=security),
            ]
        )

    async def __call__(self, *, connection: HTTPConnection, scheme: object = None) -> Identity:
        """The identity of one request or WebSocket."""
        identity: Identity | None = connection.scope.get("hourpass")
        try:
            if identity is None and self._verifier is not None:
                identity = await identify(self._verifier, self._api_keys, self._sources, connection.scope["headers"])
            if identity is not None:
                return admit(identity, self._guard.needed("GET", "/"))
        except HourpassError as error:
            raise _refused(self._guard.refusal(error), connection) from error
        raise _refused(self._guard.refusal(None), connection)

    def __eq__(self, other: object) -> bool:
        """Whether both need the same, and judge by the same."""
        return isinstance(other, Require) and self._same == other._same

    def __hash__(self) -> int:
        """As equality has it."""
        return hash(self._same)


def _refused(refusal: Refusal, connection: HTTPConnection) -> HTTPException | WebSocketException:
    if isinstance(connection, WebSocket):
        return WebSocketException(1013 if refusal.status == 503 else 1008)
    return _http(refusal)


def _http(refusal: Refusal) -> HTTPException:
    words = {400: "Malformed", 401: "Unauthorized", 403: "Forbidden", 503: "Unavailable"}
    headers = {name: value for name, value in refusal.headers if name in ("WWW-Authenticate", "Retry-After")}
    return HTTPException(refusal.status, words.get(refusal.status, "Failed"), {**headers, "Cache-Control": "no-store"})
