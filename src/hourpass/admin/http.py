"""How an operation and what it asks become an HTTP request, and how they are read from one again."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from hourpass.admin import shapes
from hourpass.admin.operations import Operation

Q = TypeVar("Q", bound=shapes.Asked)

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
        headers["if-match"] = f'"{tag}"'
    if in_query(operation):
        return Written(path, _query(members), None, headers)
    headers["content-type"] = "application/json"
    return Written(path, [], msgspec.json.encode(members), headers)


def in_query(operation: Operation[Any, Any]) -> bool:
    """Whether what is asked stands in the query, and not in a body."""
    return operation.method in {"GET", "DELETE"} or operation.streams


def _query(members: Mapping[str, Any]) -> list[tuple[str, str]]:
    each = ((name, one) for name, value in members.items() for one in (value if isinstance(value, list) else [value]))
    return [(name, str(one).lower() if isinstance(one, bool) else str(one)) for name, one in each if one is not None]


def read_query(operation: Operation[Q, Any], path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> Q:
    """What is asked, from the members in the path and a query.

    Raises:
        msgspec.ValidationError: if a member is missing, unknown or of the wrong type.
    """
    members: dict[str, Any] = {}
    lists = {field.name for field in msgspec.structs.fields(operation.asks) if isinstance(field.default_factory, type)}
    for name, value in query:
        if name in lists:
            members.setdefault(name, []).append(value)
        elif name in members:
            raise msgspec.ValidationError(f"`{name}` is repeated")
        else:
            members[name] = value
    return msgspec.convert(members | dict(path), operation.asks, strict=False)


def read_body(operation: Operation[Q, Any], path: Mapping[str, str], body: bytes, if_match: str | None = None) -> Q:
    """What is asked, from the members in the path and a JSON body. An empty body asks for nothing.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: if it is not JSON of the right shape.
    """
    members = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
    if members.keys() & (path.keys() | {IF_MATCH}):
        raise msgspec.ValidationError("a member of the path or a header stands in the body")
    given = members | dict(path)
    if if_match is not None and IF_MATCH in operation.asks.__struct_fields__:
        given[IF_MATCH] = if_match
    return msgspec.convert(given, operation.asks)
