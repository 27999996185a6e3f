"""Renders errors as answers. This one place says what a caller learns about an error, so nothing private leaks."""

from hourpass.core.errors import (
    InsufficientScope,
    InvalidCredentials,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    RefusalReason,
    Refused,
    RotationUnderWay,
    SelfRotationOff,
    Throttled,
    Unavailable,
    UnsupportedGrantType,
)
from hourpass.server.transport.request import Headers, Reply, TooLarge
from hourpass.wire.problems import PROBLEM, TITLES, OAuthError, write_problem
from hourpass.wire.shapes import JSON, encode

JSON_HEADERS: Headers = [(b"content-type", JSON), (b"cache-control", b"no-store")]
NO_STORE: Headers = [(b"cache-control", b"no-store")]

OAUTH_WORDS: dict[type[Exception], str] = {
    InvalidCredentials: "The client credentials were incorrect.",
    InvalidGrant: "The refresh token is invalid.",
    InvalidScope: "A requested scope is unknown or not owned.",
    InvalidTarget: "A requested audience or resource is not the client's.",
}

REFRESH_WORDS: dict[RefusalReason, str] = {
    "access_token_given": "This is an access token: send the refresh token that came with it.",
}
"""What to tell a client about a refused refresh token, if the client can fix it by itself."""


class LengthRequired(Refused):
    """The body comes in chunks, and its trailers cannot be told from the headers (RFC 9110 §15.5.12)."""


class NoSuchRoute(Refused):
    """No route has that path."""


class MethodNotAllowed(Refused):
    """The route does not have this method. `allow` lists the methods that it has."""

    def __init__(self, allow: str) -> None:
        super().__init__()
        self.allow = allow


def problem(error: Exception, realm: str = "") -> Reply:  # noqa: C901 - one case for each kind of error
    """An error as the source spells it, after RFC 9457. An unknown error tells the caller nothing."""
    status, title, headers = 500, TITLES[500], []
    name, reason, problems = "", None, None
    match error:
        case InvalidRequest():
            status, name = 400, error.name
            title = "Invalid attributes." if error.name else "The payload is invalid."
            if len(error.names) > 1:
                problems = [{"type": "about:blank", "title": title, "name": each} for each in error.names]
        case InvalidScope() | InvalidTarget():
            status, title = 400, "Invalid attributes."
            name, reason = ("scope", None) if isinstance(error, InvalidScope) else ("audience", error.code)
        case InvalidCredentials():
            status, title, reason = 400, "The user credentials were incorrect.", error.reason
        case InvalidGrant():
            status, title, reason = 400, REFRESH_WORDS.get(error.reason, "The refresh token is invalid."), error.reason
        case SelfRotationOff():
            status, title, reason = 403, "The API key may not rotate itself.", error.code
        case RotationUnderWay():
            status, title, reason = 409, "Two secrets of the API key are alive.", error.code
            headers = [(b"retry-after", b"%d" % error.retry_after)]
        case Throttled():
            status, title = 429, "Too many requests."
            headers = [(b"retry-after", b"%d" % error.retry_after)]
        case Unavailable():
            status, title = 503, TITLES[503]
            headers = [(b"retry-after", b"%d" % error.retry_after)]
        case LengthRequired():
            status, title = 411, "A body in chunks is not accepted here."
        case TooLarge():
            status, title = 413, TITLES[413]
        case NoSuchRoute():
            status, title = 404, "Unrecognized request URL."
        case MethodNotAllowed():
            status, title = 405, "Method is not allowed for this route."
            headers = [(b"allow", error.allow.encode())]
        case _:
            pass
    body = write_problem(status, title, name, reason, problems)
    return Reply(status, [(b"content-type", PROBLEM), *NO_STORE, *headers], body)


def oauth_error(error: Exception, realm: str) -> Reply:
    """An error as OAuth 2 spells it (RFC 6749 §5.2). An error that OAuth 2 does not have is rendered as a problem."""
    status, headers, reason = 400, list(JSON_HEADERS), None
    match error:
        case InvalidCredentials():
            status = 401
            headers.append((b"www-authenticate", f'Basic realm="{realm}"'.encode()))
        case InvalidGrant():
            reason = error.reason
        case InsufficientScope():
            status = 403
        case InvalidRequest() | InvalidScope() | InvalidTarget() | UnsupportedGrantType():
            pass
        case _:
            return problem(error)
    description = REFRESH_WORDS.get(reason) if reason else None
    description = description or OAUTH_WORDS.get(type(error)) or error.detail
    return Reply(status, headers, encode(OAuthError(error.code, description, reason)))
