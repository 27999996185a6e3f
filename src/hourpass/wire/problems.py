"""How errors look: as problems, as errors of OAuth 2, and as challenges."""

import msgspec

from hourpass.core.errors import InsufficientScope, InvalidRequest, InvalidToken
from hourpass.wire.shapes import encode

PROBLEM = b"application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as the source spells it, after RFC 9457. `title` is always there, because clients rely on it."""

    type: str
    title: str
    name: str
    status: int
    reason: str | None = None
    problems: list[dict[str, str]] | None = None


class OAuthError(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error of the OAuth 2 endpoints (RFC 6749 §5.2)."""

    error: str
    error_description: str | None = None
    reason: str | None = None


TITLES = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "The payload is too large.",
    431: "Request Header Fields Too Large",
    500: "The server failed.",
    503: "The service is unavailable for a moment.",
}
"""The title of each status, for errors that have no title of their own."""


def write_problem(
    status: int,
    title: str | None = None,
    name: str = "",
    reason: str | None = None,
    problems: list[dict[str, str]] | None = None,
) -> bytes:
    """The body of every error that is not an OAuth 2 error (RFC 9457). The default for `title` is in TITLES."""
    return encode(Problem("about:blank", title or TITLES[status], name, status, reason, problems))


Challenged = InvalidRequest | InvalidToken | InsufficientScope
"""The errors that are answered with a challenge. A request without a credential gets one, too."""


def challenge(error: Challenged | None, realm: str) -> tuple[int, str]:
    """The status of a refusal, and the value of its WWW-Authenticate header (RFC 6750 §3).

    `error` is None if no credential came. The challenge then has no error code.
    """
    scheme = f'Bearer realm="{realm}"'
    match error:
        case None:
            return 401, scheme
        case InvalidRequest():
            return 400, f'{scheme}, error="invalid_request"'
        case InvalidToken():
            return 401, f'{scheme}, error="invalid_token", error_description="{error.problem}"'
        case InsufficientScope():
            needed = f', scope="{error.scope}"' if error.scope else ""
            return 403, f'{scheme}, error="insufficient_scope"{needed}'
