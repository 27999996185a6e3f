"""The FastAPI dependency: a route says which scope it needs, and the API's OpenAPI page says so, too.

    app.add_middleware(HourpassMiddleware, verifier=verifier, public=["/openapi.json", "/docs"])

    @app.get("/videos")
    async def videos(claims: Annotated[Claims, Depends(require("videos.read"))]): ...

It judges by what the middleware found, or, without one, by a verifier of its own.
"""

from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer

from hourpass.core.errors import HourpassError
from hourpass.verifier.asgi import ApiKeyPolicy, identify
from hourpass.verifier.guard import Guard, Identity, Refusal, admit
from hourpass.verifier.remote import Verifier

_SCHEME = HTTPBearer(
    scheme_name="hourpass",
    bearerFormat="JWT",
    description="An access token of `POST /auth/api-key`, good for an hour.",
    auto_error=False,
)


def require(
    *scopes: str,
    verifier: Verifier | None = None,
    api_keys: ApiKeyPolicy | None = None,
    realm: str = "hourpass",
) -> Callable[..., Awaitable[Identity]]:
    """A dependency that answers who the request is from, where the token holds all of the scopes.

    `verifier` and `api_keys` count only where no middleware has judged the request.

    Raises:
        ConfigurationError: where a scope or the realm is not one.
        HTTPException: from the dependency, with the status and the challenge of RFC 6750 §3.
    """
    guard = Guard(realm=realm, scope=" ".join(scopes))
    wanted = [scope for each in scopes for scope in each.split()]

    async def judged(request: Request, _: object = Security(_SCHEME, scopes=wanted)) -> Identity:
        identity: Identity | None = request.scope.get("hourpass")
        try:
            if identity is None and verifier is not None:
                identity = await identify(guard, verifier, api_keys, request.scope["headers"])
            if identity is None:
                raise _http(guard.refusal(None))
            return admit(identity, guard.needed(request.method, request.url.path))
        except HourpassError as error:
            raise _http(guard.refusal(error)) from error

    return judged


def _http(refusal: Refusal) -> HTTPException:
    words = {400: "Malformed", 401: "Unauthorized", 403: "Forbidden", 503: "Unavailable"}
    headers = {name: value for name, value in refusal.headers if name in ("WWW-Authenticate", "Retry-After")}
    return HTTPException(refusal.status, words.get(refusal.status, "Failed"), {**headers, "Cache-Control": "no-store"})
