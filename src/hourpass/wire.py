"""What travels: request and answer shapes of the HTTP contract, for both sides.

The only place that knows the source's spellings (`apiKey`, `refreshToken`), the media types, the challenge and the
identity headers. It reads bytes into typed requests and turns answers into bytes; it decides nothing.
"""

import re
from binascii import a2b_qp
from itertools import islice
from typing import Any, Literal, get_type_hints

import msgspec

from hourpass.core.claims import UnverifiedClaims
from hourpass.core.errors import InsufficientScope, InvalidRequest, InvalidTarget, InvalidToken, UnsupportedGrantType

JSON = b"application/json"
"""Exactly this: a charset parameter breaks the source's official Node client."""

PROBLEM = b"application/problem+json"
FORM = "application/x-www-form-urlencoded"

MAX_FIELDS = 32
"""Of a form; ours have 7 at most."""

MAX_DEPTH = 16
"""Nothing of ours is deeper than 2; a parser need not follow a stranger further than this."""


class ExchangeRequest(msgspec.Struct, frozen=True, rename={"api_key": "apiKey", "expires_in": "expiresIn"}):
    """`POST /auth/api-key`. `expires_in` is in seconds and only shortens; `scope` and `audience` only narrow."""

    api_key: str
    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return "ExchangeRequest(…)"


class RefreshRequest(msgspec.Struct, frozen=True, rename={"refresh_token": "refreshToken", "expires_in": "expiresIn"}):
    """`POST /auth/refresh`. `expires_in` is in seconds and only shortens; `scope` narrows this access token alone.

    `audience` has to be that of the grant's key.
    """

    refresh_token: str
    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return "RefreshRequest(…)"


class TokenAnswer(msgspec.Struct, frozen=True):
    """The answer of both token endpoints; `expires_in` is in seconds."""

    token_type: str
    expires_in: int
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        """Without the tokens."""
        return "TokenAnswer(…)"


class OAuthTokenAnswer(TokenAnswer, frozen=True):
    """The answer of `POST /oauth/token`, which also says the scope (RFC 6749 §5.1)."""

    scope: str

    def __repr__(self) -> str:
        """Without the tokens."""
        return "OAuthTokenAnswer(…)"


class OAuthTokenRequest(msgspec.Struct, frozen=True):
    """The form of `POST /oauth/token` (RFC 6749 §4.4.2 and §6). Client id and secret may come by Basic instead."""

    grant_type: Literal["client_credentials", "refresh_token"]
    refresh_token: str | None = None
    scope: str | None = None
    audience: str | None = None
    resource: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return "OAuthTokenRequest(…)"


class TokenReference(msgspec.Struct, frozen=True):
    """The form of `POST /oauth/revoke` (RFC 7009 §2.1) and `/oauth/introspect` (RFC 7662 §2.1)."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return "TokenReference(…)"


_Known: Any = msgspec.defstruct(
    "_Known",
    [
        ("active", bool),
        ("token_type", str | None, None),
        *((claim, shape | None, None) for claim, shape in get_type_hints(UnverifiedClaims).items()),
    ],
    frozen=True,
    omit_defaults=True,
)


class Introspection(_Known):  # type: ignore[misc]  # its members come from the one list of claims
    """What is known of a token (RFC 7662 §2.2): `active`, and its claims; `exp` and `iat` are epoch seconds."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as the source spells it, after RFC 9457; clients read `title` without looking, so it is always there."""

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


encode = msgspec.json.Encoder().encode

TITLES = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "The payload is too large.",
    431: "Request Header Fields Too Large",
    500: "The server failed.",
    503: "The service is unavailable for a moment.",
}
"""What is said of a status if there is nothing more to say."""


def write_problem(
    status: int,
    title: str | None = None,
    name: str = "",
    reason: str | None = None,
    problems: list[dict[str, str]] | None = None,
) -> bytes:
    """The body of every error that is not an OAuth 2 error (RFC 9457). `title` is that of the status by default."""
    return encode(Problem("about:blank", title or TITLES[status], name, status, reason, problems))


Challenged = InvalidRequest | InvalidToken | InsufficientScope
"""What is answered with a challenge. A request without a credential is, too."""


def challenge(error: Challenged | None, realm: str) -> tuple[int, str]:
    """The status of a refusal and its WWW-Authenticate (RFC 6750 §3).

    `error` is None if no credential came: there is no error code then.
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
            return 403, f'{scheme}, error="insufficient_scope", scope="{error.scope}"'


def identity_headers(
    subject: str, key_id: str, scope: str, environment: str, grant: str, auth: Literal["bearer", "api-key"]
) -> list[tuple[str, str]]:
    """Who a request is from, for the application behind.

    Every header is always there, empty ones included, so that a client's forged one never stands in for it.
    """
    return [
        ("Hourpass-Subject", subject),
        ("Hourpass-Key-Id", key_id),
        ("Hourpass-Scope", scope),
        ("Hourpass-Environment", environment),
        ("Hourpass-Grant", grant),
        ("Hourpass-Auth", auth),
    ]


_PARTS = re.compile(rb"[^&]+")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

_decode_exchange = msgspec.json.Decoder(ExchangeRequest).decode
_decode_refresh = msgspec.json.Decoder(RefreshRequest).decode


def read_exchange(body: bytes) -> ExchangeRequest:
    """Read the body of `POST /auth/api-key`, whatever its media type says.

    Raises:
        InvalidRequest: with the name of the offending member, or none for the body as a whole.
    """
    _gate(body)
    try:
        return _decode_exchange(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(body, ExchangeRequest) from error


def read_refresh(body: bytes) -> RefreshRequest:
    """Read the body of `POST /auth/refresh`, whatever its media type says.

    Raises:
        InvalidRequest: with the name of the offending member, or none for the body as a whole.
    """
    _gate(body)
    try:
        return _decode_refresh(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(body, RefreshRequest) from error


def read_form(body: bytes) -> dict[str, str]:
    """Read a form (RFC 6749 appendix B). An empty value is read as an absent one (§3.2).

    Nothing between two `&`, or at either end, is skipped, as every parser of forms does (WHATWG URL §5.1).

    Raises:
        InvalidRequest: if it is not UTF-8, has too many fields, or repeats one (§3.2: a parameter at most once).
        InvalidTarget: if it repeats `resource`, the one that may come again (RFC 8707 §2): a token of ours is for one.
    """
    parts = [part[0] for part in islice(_PARTS.finditer(body), MAX_FIELDS + 1)]
    if len(parts) > MAX_FIELDS or _BROKEN_ESCAPE.search(body):
        raise InvalidRequest("the body is not a form")
    try:
        pairs = [(_unescaped(name), _unescaped(value)) for name, value in (part.split(b"=", 1) for part in parts)]
    except ValueError as error:
        raise InvalidRequest("the body is not a form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        if [name for name, _ in pairs if name != "resource"] == [name for name in fields if name != "resource"]:
            raise InvalidTarget("several resources")
        raise InvalidRequest("a parameter is repeated")
    return {name: value for name, value in fields.items() if value}


def read_token_request(form: dict[str, str]) -> OAuthTokenRequest:
    """Read the form of `POST /oauth/token`.

    Raises:
        InvalidRequest: if `grant_type` is missing; UnsupportedGrantType: if it is neither of the two.
    """
    if "grant_type" not in form:
        raise InvalidRequest("grant_type is missing")
    try:
        return msgspec.convert(form, OAuthTokenRequest)
    except msgspec.ValidationError as error:  # all other members are texts that may be missing
        raise UnsupportedGrantType("client_credentials and refresh_token are supported") from error


def read_token_reference(form: dict[str, str]) -> TokenReference:
    """Read the form of `POST /oauth/revoke` and `/oauth/introspect`.

    Raises:
        InvalidRequest: if `token` is missing.
    """
    if "token" not in form:
        raise InvalidRequest("token is missing")
    return msgspec.convert(form, TokenReference)


def _gate(body: bytes) -> None:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest("the body is not UTF-8") from error
    # Counting brackets is enough for every honest body; only one with more of them is looked at closely.
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    # Without escapes every other piece between quotes is outside of strings.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    brackets = b"".join(pieces[::2]).translate(_ONE_KIND, _NO_BRACKETS)
    depth = 0
    for opened in brackets.split(b"]"):
        depth += len(opened)
        if depth > MAX_DEPTH:
            raise InvalidRequest("the JSON is too deep")
        depth -= 1


def _unescaped(text: bytes) -> str:
    """A name or value of a form. Quoted-printable is the same with "=", and read in C: a client pays for little.

    Raises:
        ValueError: if it is not UTF-8, or not escaped at all.
    """
    if not text.isascii():
        raise ValueError("not ASCII")
    return a2b_qp(text.replace(b"+", b" ").replace(b"=", b"=3D").replace(b"%", b"=")).decode()


def _explain(body: bytes, shape: type[msgspec.Struct]) -> InvalidRequest:
    """Say what is wrong with a body that could not be read. Slow and thorough: it runs on refusals only."""
    try:
        members: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return InvalidRequest("the body is not JSON")
    if not isinstance(members, dict):
        return InvalidRequest("the body is not an object")
    wrong = tuple(field.encode_name for field in msgspec.structs.fields(shape) if not _fits(members, field))
    return InvalidRequest("members are missing or of the wrong type", names=wrong)


def _fits(members: dict[str, Any], field: msgspec.structs.FieldInfo) -> bool:
    if field.encode_name not in members:
        return not field.required
    try:
        msgspec.convert(members[field.encode_name], field.type)
    except msgspec.ValidationError:
        return False
    return True
