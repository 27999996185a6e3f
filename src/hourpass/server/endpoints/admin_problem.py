"""Renders the errors of the admin API: a problem (RFC 9457) with a stable `code` and words for the person who called.

Its callers are operators, so a refusal says what is wrong. What is not a refusal tells nothing.
"""

from typing import NamedTuple

import msgspec

from hourpass.core.errors import (
    AheadOfTrail,
    AnswerGone,
    CallUnderWay,
    ChangedMeanwhile,
    HourpassError,
    InsufficientScope,
    InvalidCredentials,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidToken,
    NotDelegated,
    NotFound,
    Refused,
    RotationUnderWay,
    Throttled,
    Unavailable,
)
from hourpass.core.key_members import holds_key
from hourpass.server.transport.render import NO_STORE, MethodNotAllowed, NoSuchRoute
from hourpass.server.transport.request import Headers, Reply, TooLarge
from hourpass.wire.problems import PROBLEM, Challenged, challenge
from hourpass.wire.shapes import encode

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    408: "Request Timeout",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


_UNREAD = {
    400: "malformed",
    408: "request_timeout",
    413: "too_large",
    431: "headers_too_large",
    503: "temporarily_unavailable",
}
"""The codes of what is refused before it is a request."""


class Unauthenticated(Refused):
    """No credential came."""

    code = "unauthenticated"


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one member."""

    name: str
    detail: str


class AdminProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error of the admin API (RFC 9457). `code` is stable. `problems` names the members that are wrong."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    reason: str | None = None
    problems: list[FieldProblem] | None = None
    request_id: str | None = None


class Told(NamedTuple):
    """What a caller of the administration learns of an error. `names` are the members that are wrong."""

    status: int
    code: str
    detail: str
    reason: str | None
    names: tuple[str, ...]
    headers: Headers


def tell(error: Exception, realm: str) -> Told:  # noqa: C901 - one case for each kind
    """An error as the admin API and the console tell it."""
    status, code, detail = 500, "server_error", ""
    reason: str | None = None
    names: tuple[str, ...] = ()
    headers: Headers = []
    if isinstance(error, Refused):
        code, detail = error.code, error.detail
    match error:
        case InvalidRequest():
            status, names = 422 if error.names else 400, error.names
        case InvalidScope():
            status, names = 422, ("scope",)
        case Unauthenticated():
            status = 401
            headers = [_challenge(None, realm)]
        case InvalidToken():
            status, reason = 401, error.problem
            headers = [_challenge(error, realm)]
        case InvalidCredentials() | InvalidGrant():
            status, reason = 400, error.reason
        case NotDelegated():
            status, headers = 403, [_challenge(error, realm)]
        case InsufficientScope():
            status, detail = 403, f"this needs the scope {error.scope}"
            headers = [_challenge(error, realm)]
        case NotFound():
            status = 404
        case NoSuchRoute():
            status, code = 404, "no_such_route"
        case MethodNotAllowed():
            status, code = 405, "method_not_allowed"
            headers = [(b"allow", error.allow.encode())]
        case AnswerGone():
            status = 410
        case RotationUnderWay() | CallUnderWay():
            status = 409
            headers = [(b"retry-after", b"%d" % error.retry_after)]
        case AheadOfTrail():
            status = 409
        case ChangedMeanwhile():
            status = 412
        case TooLarge():
            status, code = 413, "too_large"
        case Throttled() | Unavailable():
            status = 429 if isinstance(error, Throttled) else 503
            code, headers = error.code, [(b"retry-after", b"%d" % error.retry_after)]
        case HourpassError() if isinstance(error, Refused):
            status = 422
        case _:
            pass
    if isinstance(error, InvalidRequest) and holds_key([detail, *names]):  # what is misspelt may be anything
        status, detail, names = 400, "an API key stands where the name of a member is expected", ()
    return Told(status, code, detail, reason, names, headers)


def admin_problem(error: Exception, realm: str, request_id: str) -> Reply:
    """An error as the admin API answers it."""
    status, code, detail, reason, names, headers = tell(error, realm)
    problems = [FieldProblem(name, detail) for name in names] or None
    problem = AdminProblem("about:blank", _TITLES[status], status, code, detail, reason, problems, request_id)
    return Reply(status, [(b"content-type", PROBLEM), *NO_STORE, *headers], encode(problem))


def refused_reply(status: int, request_id: str) -> Reply:
    """The answer to what cannot be read as a request, or is one too many."""
    headers = [(b"content-type", PROBLEM), *NO_STORE, *([(b"retry-after", b"1")] if status == 503 else [])]
    problem = AdminProblem("about:blank", _TITLES[status], status, _UNREAD[status], request_id=request_id)
    return Reply(status, headers, encode(problem))


def _challenge(error: Challenged | None, realm: str) -> tuple[bytes, bytes]:
    return b"www-authenticate", challenge(error, realm)[1].encode()
