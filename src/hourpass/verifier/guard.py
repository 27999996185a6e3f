"""The decisions that are the same for every framework: which requests pass without a credential, how a refusal is
answered, and which headers an application may trust. The modules for ASGI, WSGI and Django only put them into form.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hourpass.core.api_key import normal_scope
from hourpass.core.authorization import BASIC, KeySources, read_key_sources
from hourpass.core.claims import Claims, require_scope
from hourpass.core.errors import (
    ConfigurationError,
    HourpassError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    Unavailable,
)
from hourpass.verifier.raw_keys import KeyIdentity as KeyIdentity  # noqa: PLC0414 - policies of API keys import it from here
from hourpass.wire.identity import write_identity
from hourpass.wire.problems import PROBLEM, challenge, write_problem

_ODD = re.compile(
    r"\A(?!/)"  # no slash in front
    r"|[\x00-\x1f\x7f-\x9f\\\u2028\u2029\ud800-\udfff\ufffd]"  # controls, line ends, backslashes, broken UTF-8
    r"|//|/\.{1,2}(?:[;/]|\Z)"  # empty segments, and those of dots, with parameters or without
    r"|/@@"  # Pyramid's traversal finds the view `videos` at `/@@videos` as well
    r"|%[0-9A-Fa-f]{2}"  # what can be decoded a second time
)
"""Matches paths that two programs may read in two ways."""

_OURS = re.compile(r"hourpass(?![a-z0-9])", re.IGNORECASE)
_TITLES = {
    400: "The Authorization header is malformed.",
    401: "The access token is not accepted.",
    403: "A scope is missing.",
}
_PATTERN = frozenset("*{}<>")
_REALM = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]{1,100}", re.ASCII)


Identity = Claims | KeyIdentity


class Refusal(NamedTuple):
    """The answer that is sent instead of the application's."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Guard:
    """The settings of a middleware.

    Args:
        realm: the realm of the challenge.
        public: paths that need no credential: exactly this path, or with all paths below it if it ends in `/*`.
        scope: the scopes that every route needs, space-separated.
        scopes: the scopes that some routes need instead, by path or by method and path (`"POST /videos"`). A path
            includes all paths below it. The longest path wins, and of two equal paths the one with the method. HEAD is
            treated as GET.
        preflights: whether CORS preflights pass without a credential (Fetch §4.8: browsers send none).

    Raises:
        ConfigurationError: the realm, a path or a scope is not valid.
    """

    def __init__(
        self,
        *,
        realm: str = "hourpass",
        public: Iterable[str] = (),
        scope: str = "",
        scopes: Mapping[str, str] | None = None,
        preflights: bool = False,
    ) -> None:
        if not _REALM.fullmatch(realm):
            raise ConfigurationError("realm must be 1 to 100 visible ASCII characters without quotes and backslashes")
        self._realm = realm
        self._public = frozenset(public)
        self._public_below = tuple(path.removesuffix("*") for path in self._public if path.endswith("/*"))
        self._preflights = preflights
        self._scope = _checked(scope)
        self._scopes = {_checked_route(route): _checked(needed) for route, needed in (scopes or {}).items()}
        self._every_scope = normal_scope(" ".join([self._scope, *self._scopes.values()])) or ""
        for path in self._public:
            _check_path(path.removesuffix("/*") or "/")

    def passes(self, method: str, path: str, *, preflight: bool) -> bool:
        """Whether the request needs no credential. A path in an odd spelling is never public."""
        if self._preflights and preflight and method == "OPTIONS":
            return True
        return (path in self._public or path.startswith(self._public_below)) and not is_odd(path)

    def needed(self, method: str, path: str) -> str:
        """The scopes that a route needs. For a path that can be read in two ways: the scopes of all routes."""
        if not self._scopes:
            return self._scope
        if is_odd(path):
            return self._every_scope
        path = path.rstrip("/") or "/"
        # Some frameworks read `get` as GET, and all of them answer HEAD as GET.
        method = {"HEAD": "GET"}.get(method.upper(), method.upper())
        while True:
            for route in (f"{method} {path}", path):
                if route in self._scopes:
                    return self._scopes[route]
            if path == "/":
                return self._scope
            path = path.rpartition("/")[0] or "/"

    def refusal(self, error: HourpassError | None) -> Refusal:
        """The answer to a refused request. `error` is None if no credential came: then it has no code (RFC 6750 §3).

        Our own trouble is never blamed on the client: a 401 would make it fetch new tokens in vain.
        """
        headers: list[tuple[str, str]] = []
        title = None
        match error:
            case None | InvalidRequest() | InvalidToken() | InsufficientScope():
                status, words = challenge(error, self._realm)
                title = _TITLES[status] if error else "A credential is missing."
                headers.append(("WWW-Authenticate", words))
            case Unavailable():
                status = 503
                headers.append(("Retry-After", str(error.retry_after)))
            case _:
                status = 500
        body = write_problem(status, title)
        headers += [("Content-Type", PROBLEM.decode()), ("Cache-Control", "no-store")]
        return Refusal(status, [*headers, ("Content-Length", str(len(body)))], body)


def key_sources(given: Iterable[str] | None, *, with_policy: bool) -> KeySources:
    """Where API keys are accepted. If nothing is said: as the user name of HTTP Basic if there is a policy for them.

    Raises:
        ConfigurationError: if one is not a source.
    """
    if given is None:
        return BASIC if with_policy else KeySources()
    if isinstance(given, str):
        raise ConfigurationError("api_key_sources is a list, such as ['basic', 'header:X-API-Key']")
    try:
        return read_key_sources(given)
    except ValueError as error:
        raise ConfigurationError(f"api_key_sources: {error}") from None


def judged_owner(owner: KeyIdentity | None, environment: str) -> KeyIdentity:
    """The owner of an API key that the API-key policy returned, judged as a token's claims are.

    Raises:
        InvalidToken: `malformed` if the policy does not accept the key, `environment` if it is of the other one.
    """
    if owner is None:
        raise InvalidToken("malformed", "the API key is not accepted")
    if owner.env != environment:
        raise InvalidToken("environment")
    return owner


def admit(identity: Identity, needed: str) -> Identity:
    """The identity, if it has the needed scopes. This is decided on every request, and never remembered.

    Raises:
        InsufficientScope: names all the needed scopes.
    """
    require_scope(identity.scope, needed)
    return identity


def is_ours(header: str) -> bool:
    """Whether an application could read a header's name as one of the identity headers.

    `Hourpass_Subject` and `Hourpass.Subject` become the same variable as `Hourpass-Subject` in some frameworks.
    """
    return _OURS.match(header) is not None


def identity_headers(identity: Identity) -> list[tuple[str, str]]:
    """The headers that tell the application who sent the request."""
    if isinstance(identity, Claims):
        return write_identity(identity.sub, identity.client_id, identity.scope, identity.env, identity.sid, "bearer")
    end = identity.sunset, identity.deprecation
    return write_identity(identity.sub, identity.client_id, identity.scope, identity.env, "", "api-key", *end)


def is_odd(path: str) -> bool:
    """Whether a path, as the server decoded it, may be read in more than one way.

    The router behind us may strip, merge or decode more than we do. For example Python's `$` matches before a final
    newline.
    """
    return _ODD.search(path) is not None


def _checked(scope: str) -> str:
    normal = normal_scope(scope)
    if normal is None:
        raise ConfigurationError(f"not a scope: {scope!r}")
    return normal


def _checked_route(route: str) -> str:
    method, _, path = ("", "", route) if route.startswith("/") else route.partition(" ")
    if method and not method.isupper():
        raise ConfigurationError(f"a route is a path, or a method and a path: {route!r}")
    _check_path(path)
    path = path.rstrip("/") or "/"
    return f"{method} {path}" if method else path


def _check_path(path: str) -> None:
    """Refuse a path that no request could ever match, because it would leave a route open that you meant to close.

    Raises:
        ConfigurationError: it is a pattern, encoded, or can be read in more than one way.
    """
    if is_odd(path) or not _PATTERN.isdisjoint(path):
        raise ConfigurationError(
            f"{path!r} is not a path: it must begin with a slash, be written decoded and hold no pattern, "
            "and only a public path may end in /*"
        )
