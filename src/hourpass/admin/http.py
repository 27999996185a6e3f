"""How an operation and what it asks become an HTTP request, and how they are read from one again."""

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from hourpass.admin import shapes
from hourpass.admin.operations import Operation
from hourpass.core.errors import InvalidRequest
from hourpass.wire.reading import require_shallow

Q = TypeVar("Q", bound=shapes.Asked)

MAX_NAME = 64
"""Letters of a member's name that an error repeats."""

IF_MATCH = "if_match"
"""The member that travels as the header If-Match (RFC 9110 §13.1.1)."""


class Written(NamedTuple):
    """A request: the path below the root, the query, the body, and headers."""

    path: str
    query: list[tuple[str, str]]
    body: bytes | None
    headers: dict[str, str]


def write_request(operation: Operation[Q, Any], asked: Q) -> Written:
    """The HTTP request of an operation."""
    members = msgspec.to_builtins(asked)
    path = operation.path
    for name in operation.in_path:
        path = path.replace(f"{{{name}}}", quote(str(members.pop(name)), safe=""))
    headers = {}
    if (tag := members.pop(IF_MATCH, None)) is not None:
        headers["if-match"] = ", ".join(f'"{each}"' for each in tag.split())
    if in_query(operation):
        return Written(path, _query(members), None, headers)
    headers["content-type"] = "application/json"
    return Written(path, [], msgspec.json.encode(members), headers)


def in_query(operation: Operation[Any, Any]) -> bool:
    """Whether an operation has its members in the query, and not in a body."""
    return operation.method in {"GET", "DELETE"} or operation.streams


def _query(members: Mapping[str, Any]) -> list[tuple[str, str]]:
    each = ((name, one) for name, value in members.items() for one in (value if isinstance(value, list) else [value]))
    return [(name, str(one).lower() if isinstance(one, bool) else str(one)) for name, one in each if one is not None]


def read_query(operation: Operation[Q, Any], path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> Q:
    """What is asked, from the members in the path and a query.

    Raises:
        InvalidRequest: naming a member with a control character, or one that comes twice.
        msgspec.ValidationError: if a member is missing, unknown or of the wrong type.
    """
    members: dict[str, Any] = {}
    lists = {field.name for field in msgspec.structs.fields(operation.asks) if isinstance(field.default_factory, type)}
    for name, value in query:
        _require_line(name, value)
        if name in path:
            raise InvalidRequest(f"{name} stands in the path already", name=name)
        if name in lists:
            members.setdefault(name, []).append(value)
        elif name in members:
            raise InvalidRequest(f"{name} is repeated", name=name)
        else:
            members[name] = value
    return msgspec.convert(members | _of_path(path), operation.asks, strict=False)


def read_body(operation: Operation[Q, Any], path: Mapping[str, str], body: bytes, if_match: str | None = None) -> Q:
    """What is asked, from the members in the path and a JSON body. An empty body asks for nothing.

    Raises:
        InvalidRequest: if it is too deep, or naming a member with a control character, one that comes twice, or one
            that does not belong into the body.
        msgspec.MsgspecError, ValueError, RecursionError: if it is not JSON of the right shape.
    """
    members = _object(body) if body else {}
    if twice := members.keys() & (path.keys() | {IF_MATCH}):
        raise InvalidRequest(f"{min(twice)} does not stand in the body", name=min(twice))
    given = members | _of_path(path)
    if if_match is not None and IF_MATCH in operation.asks.__struct_fields__:
        given[IF_MATCH] = if_match
    return msgspec.convert(given, operation.asks)


def _of_path(path: Mapping[str, str]) -> dict[str, str]:
    for name, value in path.items():
        _require_line(name, value)
    return dict(path)


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object. msgspec would take the last one of two members with the same name."""
    require_shallow(body)
    members = msgspec.json.decode(body, type=dict[str, Any])
    json.loads(body, object_pairs_hook=_once)
    if b"\\u0000" in body:  # its only spelling in JSON
        for name, value in members.items():
            if _has_nul(value):
                raise InvalidRequest("a text holds a NUL", name=name)
    return members


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise InvalidRequest("a member comes twice", name=twice[:MAX_NAME])
    return members


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(_has_nul(name) or _has_nul(each) for name, each in value.items())
        case _:
            return False


def _require_line(name: str, value: str) -> None:
    if any(unicodedata.category(letter) == "Cc" for letter in name + value):
        raise InvalidRequest("it holds a control character", name=name if name.isprintable() else "")
