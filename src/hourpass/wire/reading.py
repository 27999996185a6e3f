"""Reads the bytes of strangers into typed requests: JSON and forms, within bounds."""

import re
from binascii import a2b_qp
from itertools import islice
from typing import Any

import msgspec

from hourpass.core.errors import InvalidRequest, InvalidTarget, UnsupportedGrantType
from hourpass.wire.shapes import (
    ExchangeRequest,
    LeakFinding,
    OAuthTokenRequest,
    RefreshRequest,
    RotateRequest,
    TokenReference,
)

MAX_FIELDS = 32
"""The most fields that a form may have. Ours have 7 at most."""

MAX_DEPTH = 16
"""How deep the JSON of a request may be. Ours is never deeper than 2."""

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

    Raises:
        InvalidRequest: if it is not UTF-8, has too many fields, or repeats one (§3.2: a parameter at most once).
        InvalidTarget: if it repeats `resource`. RFC 8707 §2 allows that, but a token of ours is for one audience.
    """
    pairs = read_pairs(body, MAX_FIELDS, "the body is not a form")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        if [name for name, _ in pairs if name != "resource"] == [name for name in fields if name != "resource"]:
            raise InvalidTarget("several resources")
        raise InvalidRequest("a parameter is repeated")
    return {name: value for name, value in fields.items() if value}


def read_pairs(encoded: bytes, most: int, refusal: str) -> list[tuple[str, str]]:
    """The names and values of a form or a query, in their order (application/x-www-form-urlencoded).

    Empty parts, such as between two `&`, are skipped, as every parser of forms does (WHATWG URL §5.1).

    Raises:
        InvalidRequest: with the words of `refusal`, if it is not UTF-8, one has no `=`, or there are more than `most`.
    """
    parts = [part[0] for part in islice(_PARTS.finditer(encoded), most + 1)]
    if len(parts) > most or _BROKEN_ESCAPE.search(encoded):
        raise InvalidRequest(refusal)
    try:
        return [(_unescaped(name), _unescaped(value)) for name, value in (part.split(b"=", 1) for part in parts)]
    except ValueError as error:
        raise InvalidRequest(refusal) from error


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
