"""The shapes of requests and answers in the HTTP contract, for both sides.

This is the only place that knows the source's spellings (`apiKey`, `refreshToken`), the media types, the challenge and
the identity headers. It reads bytes into typed requests and turns answers into bytes. It decides nothing.
"""

import re
from binascii import a2b_qp
from collections.abc import Sequence
from itertools import islice
from time import gmtime
from typing import Any, Literal, get_type_hints
from urllib.parse import quote

import msgspec

from hourpass.core.api_key import ClaimValue
from hourpass.core.claims import UnverifiedClaims
from hourpass.core.errors import InsufficientScope, InvalidRequest, InvalidTarget, InvalidToken, UnsupportedGrantType

JSON = b"application/json"
"""Exactly this: a charset parameter breaks the source's official Node client."""

PROBLEM = b"application/problem+json"
FORM = "application/x-www-form-urlencoded"

MAX_FIELDS = 32
"""The most fields that a form may have. Ours have 7 at most."""

MAX_DEPTH = 16
"""How deep the JSON of a request may be. Ours is never deeper than 2."""


class ExchangeRequest(msgspec.Struct, frozen=True, rename={"api_key": "apiKey", "expires_in": "expiresIn"}):
    """`POST /auth/api-key`. `expires_in` is in seconds and can only shorten. `scope` and `audience` can only narrow."""

    api_key: str
    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return "ExchangeRequest(…)"


class RotateRequest(msgspec.Struct, frozen=True, rename={"api_key": "apiKey"}):
    """`POST /auth/rotate`: the key whose next secret is asked for."""

    api_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return "RotateRequest(…)"


class RotateAnswer(msgspec.Struct, frozen=True, rename={"api_key": "apiKey"}):
    """The answer of `POST /auth/rotate`: the same key with its next secret."""

    api_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return "RotateAnswer(…)"


class RefreshRequest(msgspec.Struct, frozen=True, rename={"refresh_token": "refreshToken", "expires_in": "expiresIn"}):
    """`POST /auth/refresh`. `expires_in` is in seconds and can only shorten. `scope` narrows this access token alone.

    `audience` must be that of the grant's key.
    """

    refresh_token: str
    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return "RefreshRequest(…)"


class TokenAnswer(msgspec.Struct, frozen=True):
    """The answer of both token endpoints. `expires_in` is in seconds."""

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
    """What is known about a token (RFC 7662 §2.2): `active`, and its claims. `exp` and `iat` are epoch seconds.

    What is `custom` travels as members of its own.
    """


class LeakFinding(msgspec.Struct, frozen=True):
    """One leaked secret in a report of GitHub's secret scanning (`POST /leaks/github`)."""

    token: str
    url: str | None = None

    def __repr__(self) -> str:
        """Without the secret."""
        return "LeakFinding(…)"


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


encode = msgspec.json.Encoder().encode


def write_tokens(access_token: bytes, refresh_token: bytes, expires_in: int) -> bytes:
    """A `TokenAnswer` as JSON, without its detour over text: nothing in a token needs escaping."""
    return b'{"token_type":"Bearer","expires_in":%d,"access_token":"%b","refresh_token":"%b"}' % (
        expires_in,
        access_token,
        refresh_token,
    )


def write_introspection(answer: Introspection) -> bytes:
    """An introspection as JSON, in which the claims of a key's own are members of their own."""
    told = encode(msgspec.structs.replace(answer, custom=None))
    return told[:-1] + b"," + encode(dict(answer.custom))[1:] if answer.custom else told


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
            return 403, f'{scheme}, error="insufficient_scope", scope="{error.scope}"'


def identity_headers(
    subject: str,
    key_id: str,
    scope: str,
    environment: str,
    grant: str,
    auth: Literal["bearer", "api-key"],
    sunset: str = "",
    deprecation: str = "",
) -> list[tuple[str, str]]:
    """The headers that tell the application who a request is from.

    All of them are always there, even if they are empty. So a header that a client forged never takes the place of a
    missing one. The last two are of a raw key whose end is set, as `raw_key_end` writes them.
    """
    return [
        ("Hourpass-Subject", subject),
        ("Hourpass-Key-Id", key_id),
        ("Hourpass-Scope", scope),
        ("Hourpass-Environment", environment),
        ("Hourpass-Grant", grant),
        ("Hourpass-Auth", auth),
        ("Hourpass-Api-Key-Sunset", sunset),
        ("Hourpass-Api-Key-Deprecation", deprecation),
    ]


def claim_headers(
    custom: Sequence[tuple[str, ClaimValue]], wanted: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """A header for each claim that the operator wants in one, as (claim, header); empty if the key has not the claim.

    A text is itself, but what is beyond ASCII, a percent sign, and a blank at an end are percent-encoded UTF-8. Numbers
    and booleans are as in JSON.
    """
    said = dict(custom)
    return tuple((header, _header_value(said.get(claim))) for claim, header in wanted)


def _header_value(value: ClaimValue) -> str:
    match value:
        case None:
            return ""
        case str():
            # Blanks at the ends would be lost on the way, and "%" is what makes the rest readable.
            ends = len(value) - len(value.lstrip(" ")), len(value.rstrip(" "))
            return "".join(
                letter if letter.isascii() and letter != "%" and ends[0] <= at < ends[1] else quote(letter, safe="")
                for at, letter in enumerate(value)
            )
        case _:
            return encode(value).decode()


def raw_key_end(until: int | None, set_at: int | None) -> tuple[str, str]:
    """When a raw key will be refused (RFC 8594 §3), and when that was set (RFC 9745 §2), from epoch milliseconds.

    Both are empty if there is no end.
    """
    sunset = "" if until is None else _http_date(until // 1000)
    return sunset, "" if until is None or set_at is None else f"@{set_at // 1000}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _http_date(seconds: int) -> str:
    """An instant as HTTP writes it (RFC 9110 §5.6.7). Not by the standard library, whose module takes long to load."""
    at = gmtime(seconds)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"


_PARTS = re.compile(rb"[^&]+")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

_decode_exchange = msgspec.json.Decoder(ExchangeRequest).decode
_decode_rotate = msgspec.json.Decoder(RotateRequest).decode
_decode_leaks = msgspec.json.Decoder(list[LeakFinding]).decode
_decode_refresh = msgspec.json.Decoder(RefreshRequest).decode


def read_exchange(body: bytes) -> ExchangeRequest:
    """Read the body of `POST /auth/api-key`. The media type does not matter.

    Raises:
        InvalidRequest: with the name of the offending member, or without one if the whole body is wrong.
    """
    require_shallow(body)
    try:
        return _decode_exchange(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(body, ExchangeRequest) from error


def read_refresh(body: bytes) -> RefreshRequest:
    """Read the body of `POST /auth/refresh`. The media type does not matter.

    Raises:
        InvalidRequest: with the name of the offending member, or without one if the whole body is wrong.
    """
    require_shallow(body)
    try:
        return _decode_refresh(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(body, RefreshRequest) from error


def read_rotate(body: bytes) -> RotateRequest:
    """Read the body of `POST /auth/rotate`. The media type does not matter.

    Raises:
        InvalidRequest: with the name of the offending member, or without one if the whole body is wrong.
    """
    require_shallow(body)
    try:
        return _decode_rotate(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(body, RotateRequest) from error


def read_leak_report(body: bytes) -> list[LeakFinding]:
    """Read a report of GitHub's secret scanning: a list of findings.

    Raises:
        InvalidRequest: if it is something else.
    """
    try:
        return _decode_leaks(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("this is not a list of findings") from error


def read_form(body: bytes) -> dict[str, str]:
    """Read a form (RFC 6749 appendix B). A field with an empty value is treated as absent (§3.2).

    Empty parts, such as between two `&`, are skipped, as every parser of forms does (WHATWG URL §5.1).

    Raises:
        InvalidRequest: if it is not UTF-8, has too many fields, or repeats one (§3.2: a parameter at most once).
        InvalidTarget: if it repeats `resource`. RFC 8707 §2 allows that, but a token of ours is for one audience.
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
        InvalidRequest: if `grant_type` is missing.
        UnsupportedGrantType: if it is neither `client_credentials` nor `refresh_token`.
    """
    if "grant_type" not in form:
        raise InvalidRequest("grant_type is missing")
    try:
        return msgspec.convert(form, OAuthTokenRequest)
    except msgspec.ValidationError as error:  # only `grant_type` can be wrong: all others are texts or missing
        raise UnsupportedGrantType("client_credentials and refresh_token are supported") from error


def read_token_reference(form: dict[str, str]) -> TokenReference:
    """Read the form of `POST /oauth/revoke` and `/oauth/introspect`.

    Raises:
        InvalidRequest: if `token` is missing.
    """
    if "token" not in form:
        raise InvalidRequest("token is missing")
    return msgspec.convert(form, TokenReference)


def require_shallow(body: bytes) -> None:
    """Refuse a body before it is read as JSON: a deep one would fill the stack.

    Raises:
        InvalidRequest: if it is not UTF-8, or its JSON is deeper than MAX_DEPTH.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest("the body is not UTF-8") from error
    # Counting brackets is enough for every honest body. Only a body with more of them is looked at closely.
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    # With escapes removed, every second piece between quotes is outside of strings.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    brackets = b"".join(pieces[::2]).translate(_ONE_KIND, _NO_BRACKETS)
    depth = 0
    for opened in brackets.split(b"]"):
        depth += len(opened)
        if depth > MAX_DEPTH:
            raise InvalidRequest("the JSON is too deep")
        depth -= 1


def _unescaped(text: bytes) -> str:
    """Decode a name or value of a form. Quoted-printable is the same with "=" for "%", and its decoder is fast C.

    Raises:
        ValueError: if it is not UTF-8, or not ASCII before it is decoded.
    """
    if not text.isascii():
        raise ValueError("not ASCII")
    return a2b_qp(text.replace(b"+", b" ").replace(b"=", b"=3D").replace(b"%", b"=")).decode()


def _explain(body: bytes, shape: type[msgspec.Struct]) -> InvalidRequest:
    """Find out what is wrong with a body that could not be read. It is slow, but it runs only for refusals."""
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
