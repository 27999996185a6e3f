"""The description of the admin API (OpenAPI 3.1), made from the table of operations and the structs, never by hand."""

from typing import Any

import msgspec

from hourpass import __version__
from hourpass.admin import shapes
from hourpass.admin.http import IF_MATCH, in_query
from hourpass.admin.member_words import MEMBERS, words_of
from hourpass.admin.operations import OPERATIONS, ROOT, Operation
from hourpass.admin.shapes import TaggedAnswer
from hourpass.server.admin.work import WORK
from hourpass.server.endpoints.admin_problem import AdminProblem, FieldProblem
from hourpass.server.endpoints.openapi import REFERENCE, say_what_they_are

Schema = dict[str, Any]

_TEXT: Schema = {"schema": {"type": "string"}}


def _component(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


_HEADERS: dict[str, Schema] = {
    "X-Request-Id": {"description": "By which the log and the audit trail name the request.", **_TEXT},
    "ETag": {"description": "Send it as `If-Match` to change what was read only if nobody else did.", **_TEXT},
}
"""Headers of answers."""

_ANSWER_HEADERS: Schema = {"X-Request-Id": _component("headers", "X-Request-Id")}

_PARAMETERS: dict[str, Schema] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Send the same one again after a lost answer: the call is carried out once.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": MEMBERS[IF_MATCH],
        **_TEXT,
    },
}
"""Headers of requests."""

_REFUSED: Schema = {
    "description": "Refused.",
    "headers": _ANSWER_HEADERS,
    "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name=AdminProblem.__name__)}}},
}

_RESPONSES: dict[str, Schema] = {
    "Challenged": {**_REFUSED, "headers": {**_ANSWER_HEADERS, "WWW-Authenticate": _TEXT}},
    "Refused": _REFUSED,
}
"""How every operation can be refused, by the name to which the operations refer."""

_SHAPES = {
    each.__name__: each for each in (*vars(shapes).values(), AdminProblem, FieldProblem) if isinstance(each, type)
}


def describe_admin() -> dict[str, Any]:
    """The OpenAPI document of the admin API."""
    components = _schemas()
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(ROOT + operation.path, {})[operation.method.lower()] = _described(operation, components)
    bodies = {each.asks.__name__: body for each in OPERATIONS if (body := _in_body(each))}
    for shape in {each.asks for each in OPERATIONS}:
        _keep_what_bodies_have(components, shape.__name__, bodies.get(shape.__name__))
    return {
        "openapi": "3.1.0",
        "info": {"title": "hourpass admin API", "version": __version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": _HEADERS,
            "parameters": _PARAMETERS,
            "responses": _RESPONSES,
            "securitySchemes": {
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token for the audience <issuer>/admin, from POST /auth/api-key here.",
                }
            },
        },
    }


def _schemas() -> dict[str, Schema]:
    """The schemas of all shapes. Each, and each of its members, says in words what it is."""
    used = {each.asks for each in OPERATIONS} | {each.answers for each in OPERATIONS} | {AdminProblem}
    _, components = msgspec.json.schema_components(
        sorted(used, key=lambda shape: shape.__name__), ref_template=REFERENCE
    )
    say_what_they_are(components, lambda shape, member: words_of(_SHAPES[shape], member))
    return components


def _described(operation: Operation[Any, Any], components: Schema) -> Schema:
    words = (WORK[operation.name].__doc__ or "") if operation.name in WORK else "This description."
    members = components[operation.asks.__name__].get("properties", {})
    answer: Schema = {"description": "Done.", "headers": {**_ANSWER_HEADERS}}
    answer["content"] = {"application/json": {"schema": _reference(operation.answers)}}
    if issubclass(operation.answers, TaggedAnswer):
        answer["headers"]["ETag"] = _component("headers", "ETag")
    challenged, refused = (_component("responses", name) for name in _RESPONSES)
    told: Schema = {
        "operationId": operation.name,
        "summary": " ".join(words.split("\n\n")[0].split()),
        "security": [{"admin": [operation.scope] if operation.scope else []}],
        "parameters": _parameters(operation, members),
        "responses": {str(operation.status): answer, "401": challenged, "403": challenged, "default": refused},
    }
    if operation.streams:
        told["requestBody"] = {"required": True, "content": {"application/jsonl": _TEXT}}
    elif body := _in_body(operation):
        needed = set(components[operation.asks.__name__].get("required", ())) & body
        schema = {"application/json": {"schema": _reference(operation.asks)}}
        told["requestBody"] = {"required": bool(needed), "content": schema}
    return told


def _parameters(operation: Operation[Any, Any], members: Schema) -> list[Schema]:
    found = [_parameter(name, "path", members[name], required=True) for name in operation.in_path]
    if in_query(operation):
        found += [_parameter(name, "query", members[name]) for name in members if name not in operation.in_path]
    if operation.method == "POST" and not operation.reads and not operation.streams:
        found.append(_component("parameters", "Idempotency-Key"))
    if IF_MATCH in members:
        found.append(_component("parameters", "If-Match"))
    return found


def _parameter(name: str, place: str, member: Schema, **more: bool) -> Schema:
    """A member outside of a body. What it means is said of the parameter. Text cannot be null: it is left out."""
    schema = {word: each for word, each in member.items() if word != "description"}
    if schema.get("default", ...) is None:
        schema = _either([each for each in schema["anyOf"] if each != {"type": "null"}])
    return {"name": name, "in": place, **more, "description": member["description"], "schema": schema}


def _either(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _in_body(operation: Operation[Any, Any]) -> set[str]:
    if in_query(operation):
        return set()
    return set(operation.asks.__struct_fields__) - {*operation.in_path, IF_MATCH}


def _keep_what_bodies_have(components: Schema, name: str, body: set[str] | None) -> None:
    """Take what stands elsewhere out of the shape of a body. What is asked without a body is not a component."""
    if body is None:
        del components[name]
        return
    schema = components[name]
    schema["properties"] = {member: each for member, each in schema["properties"].items() if member in body}
    schema["required"] = [member for member in schema.get("required", ()) if member in body]


def _reference(shape: type) -> Schema:
    return {"$ref": REFERENCE.format(name=shape.__name__)}
