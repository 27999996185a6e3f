"""The description of the interface (OpenAPI 3.1), made from the route table and the wire's shapes, never by hand."""

from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Annotated, Any, Protocol, get_origin, get_type_hints

import msgspec

from hourpass import __version__
from hourpass.server.transport.render import oauth_error
from hourpass.server.transport.request import Reply
from hourpass.wire.problems import PROBLEM, OAuthError, Problem
from hourpass.wire.shapes import FORM, Introspection

VERIFY = "/auth/verify"

REFERENCE = "#/components/schemas/{name}"
"""Where the schema of a shape is."""


MEMBERS: dict[str, str] = {
    "access_token": "The access token, a JWT. Send it as `Authorization: Bearer …`.",
    "active": "True: the token is accepted.",
    "apiKey": "The API key itself, a secret.",
    "aud": "Whom the token is for.",
    "audience": "Whom the access token is for: one of the key's audiences. Default: the grant's, or the first one.",
    "client_id": "Id of the API key.",
    "client_secret": "The API key itself, a secret, if it does not come by Basic.",
    "env": "Environment of the API key: `production` or `sandbox`.",
    "error": "Stable word for the error (RFC 6749 §5.2).",
    "error_description": "The error in words.",
    "exp": "When the token expires, in seconds since 1970.",
    "expiresIn": "Seconds that the access token lives at most. It can only shorten.",
    "expires_in": "Seconds until the access token expires.",
    "grant_type": "What stands for the tokens: the API key, or a refresh token.",
    "iat": "When the token was made, in seconds since 1970.",
    "iss": "URL of the server that made the token.",
    "jti": "Id of the access token.",
    "name": "The member that is wrong. Empty: it is none.",
    "problems": "All members that are wrong, if they are several.",
    "reason": "Why, in one stable word. Null: there is no more to say.",
    "refreshToken": "The refresh token, a secret.",
    "refresh_token": "The refresh token, a secret. In an answer it takes the place of the one before.",
    "resource": "The same as `audience` (RFC 8707).",
    "scope": "Scopes, separated by spaces. A request can only narrow those of the key.",
    "sid": "Id of the grant, 32 hex digits.",
    "status": "Status of the answer.",
    "sub": "Subject of the API key, such as an account.",
    "title": "The error in words.",
    "token": "An access token, a refresh token or an API key, a secret.",
    "token_type": "Always `Bearer`.",
    "token_type_hint": "What the token is thought to be. The answer does not depend on it.",
    "type": "Always `about:blank`.",
}
"""A member of a body -> what it means, by the name that it travels by."""


class Described(Protocol):
    """What the description needs to know about a route."""

    @property
    def methods(self) -> Mapping[str, Any]: ...
    @property
    def tell(self) -> object: ...
    @property
    def asks(self) -> type | None: ...


def answer_of(handler: Any) -> type[msgspec.Struct] | None:
    """The shape that a handler answers with, by its return type. None if its reply has none.

    A handler that writes the reply itself says its shape as an annotation of `Reply`.
    """
    told = get_type_hints(handler, include_extras=True)["return"]
    if get_origin(told) is Annotated:
        [told] = told.__metadata__
    return None if told is Reply else told


def describe(routes: Mapping[str, Described], url: str) -> dict[str, Any]:
    """The OpenAPI document of these routes, served under `url`."""
    asked = {route.asks for route in routes.values()}
    answered = {answer_of(handler) for route in routes.values() for handler in route.methods.values()}
    shapes = sorted(filter(None, asked | answered), key=lambda shape: shape.__name__)
    ordered = [*shapes, Problem, OAuthError]
    schemas, components = msgspec.json.schema_components(ordered, ref_template=REFERENCE)
    schema_of = dict(zip(ordered, schemas, strict=True))
    if Introspection in answered:
        # What a key says besides travels as members of its own, whose names its owner chose.
        del components["Introspection"]["properties"]["custom"]
    say_what_they_are(components, lambda _, member: MEMBERS.get(member))
    paths = {
        path: {
            method.lower(): _operation(handler, route, schema_of)
            for method, handler in route.methods.items()
            if method != "HEAD"
        }
        for path, route in routes.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "hourpass", "version": __version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": url}],
        "paths": {**paths, VERIFY: {"get": _verify(schema_of)}},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "apiKey": {"type": "http", "scheme": "basic", "description": "An API key as the user name."},
            },
        },
    }


def say_what_they_are(components: dict[str, Any], words_of: Callable[[str, str], str | None]) -> None:
    """Let each schema, and each of its members, say in words what it is. `words_of` takes the names of both."""
    for name, schema in components.items():
        schema["description"] = cleandoc(schema["description"])
        for member, each in schema.get("properties", {}).items():
            each["description"] = words_of(name, member)


def _operation(handler: Any, route: Described, schema_of: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    spelt_by_oauth = route.tell is oauth_error
    answer: dict[str, Any] = {"description": "Done."}
    if (shape := answer_of(handler)) is not None:
        answer["content"] = {"application/json": {"schema": schema_of[shape]}}
    kind, error = ("application/json", OAuthError) if spelt_by_oauth else (PROBLEM.decode(), Problem)
    operation: dict[str, Any] = {
        "operationId": handler.__name__.strip("_"),
        "summary": (handler.__doc__ or "").strip().splitlines()[0],
        "responses": {
            "200": answer,
            "default": {"description": "Refused.", "content": {kind: {"schema": schema_of[error]}}},
        },
    }
    if route.asks is not None:
        media_type = FORM if spelt_by_oauth else "application/json"
        operation["requestBody"] = {"required": True, "content": {media_type: {"schema": schema_of[route.asks]}}}
    return operation


def _verify(schema_of: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    challenged = {
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
        "description": "Refused, with the challenge of RFC 6750 §3.",
    }
    problem = {"schema": schema_of[Problem]}
    return {
        "operationId": "verify",
        "summary": "Forward auth, with any method: whether the request's credential is good here.",
        "security": [{"bearer": []}, {"apiKey": []}],
        "parameters": [
            {
                "name": "scope",
                "in": "query",
                "schema": {"type": "string"},
                "description": "Scopes, separated by spaces. All are needed.",
            }
        ],
        "responses": {
            "204": {"description": "Good. The identity is in the Hourpass-* headers."},
            "401": challenged,
            "403": challenged,
            "default": {"description": "Refused.", "content": {PROBLEM.decode(): problem}},
        },
    }
