"""The WSGI middleware: a request reaches the application only with a credential that was judged, or on a public path.

For Flask, Django, Pyramid and every other WSGI application. `guard.py` and the verifier make all decisions.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hourpass.core.authorization import KeySources, read_authorization, read_credential
from hourpass.core.errors import HourpassError
from hourpass.tracing import traced
from hourpass.verifier.guard import (
    Guard,
    Identity,
    KeyIdentity,
    admit,
    identity_headers,
    is_ours,
    judged_owner,
    key_sources,
)
from hourpass.verifier.paths import path_of_environ
from hourpass.verifier.verifier import Verifier

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

ApiKeyPolicy = Callable[[str], KeyIdentity | None]
"""Takes an API key from one of the accepted places, and returns its owner, or None if the key is refused."""

_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class HourpassMiddleware:
    """Judges every request. The application finds the identity in `environ["hourpass.claims"]`, None on public paths.

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
        self._guard = Guard(realm=realm, public=public, scope=scope, scopes=scopes, preflights=preflights)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        cleanse(environ)
        method: str = environ["REQUEST_METHOD"]
        path = path_of_environ(environ)
        if self._guard.passes(method, path, preflight="HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ):
            environ["hourpass.claims"] = None
            return self._app(environ, start_response)
        refused: HourpassError | None = None
        identity = None
        try:
            identity = identify(self._verifier, self._api_keys, self._sources, environ)
            if identity is not None:
                admit(identity, self._guard.needed(method, path))
        except HourpassError as error:
            refused = error
        if identity is None or refused is not None:
            refusal = self._guard.refusal(refused)
            start_response(f"{refusal.status} {_REASONS[refusal.status]}", refusal.headers)
            return [b"" if method == "HEAD" else refusal.body]
        vouch(environ, identity)
        return self._app(environ, start_response)


@traced("hourpass.verify")
def identify(
    verifier: Verifier, api_keys: ApiKeyPolicy | None, sources: KeySources, environ: Mapping[str, Any]
) -> Identity | None:
    """Who sent a request, by its headers. None if it has no credential that is accepted here.

    Raises:
        InvalidRequest: a credential is malformed, or there is more than one.
        InvalidToken: the credential is refused.
        Unavailable: the credential cannot be judged now.
    """
    if sources.headers:
        credential = read_credential(presented(environ, sources), sources)
    else:
        value = environ.get("HTTP_AUTHORIZATION")
        values = [] if value is None else [value.encode("latin-1", "replace")]
        credential = read_authorization(values, sources)
    if isinstance(credential, bytes):
        return verifier.verify(credential)
    if credential is None or not sources.accepts(credential):
        return None
    if api_keys is None:
        return verifier.verify_key(credential, environ.get("REMOTE_ADDR"))
    return judged_owner(api_keys(credential.unverified_key), verifier.environment)


def presented(environ: Mapping[str, Any], sources: KeySources) -> list[tuple[bytes, bytes]]:
    """The headers that may carry a credential.

    Two of one name arrive joined by a comma (RFC 9110 §5.3), which no credential of ours holds.
    """
    value = environ.get("HTTP_AUTHORIZATION")
    headers = [] if value is None else [(b"authorization", value.encode("latin-1", "replace"))]
    for name in sources.headers:
        value = environ.get("HTTP_" + name.decode().upper().replace("-", "_"))
        if value is not None:
            headers.append((name, value.encode("latin-1", "replace")))
    return headers


def cleanse(environ: Environ) -> None:
    """Drop the identity headers that the client has sent."""
    for name in [name for name in environ if name.startswith("HTTP_") and is_ours(name[5:])]:
        del environ[name]


def vouch(environ: Environ, identity: Identity) -> None:
    """Tell the application who sent the request."""
    environ["hourpass.claims"] = identity
    for name, value in identity_headers(identity):
        environ["HTTP_" + name.upper().replace("-", "_")] = value
