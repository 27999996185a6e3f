"""/openapi.json says what the server does: it is made from the route table, so nothing is missing or made up."""

import json
import re
from base64 import b64encode
from urllib.parse import urlencode

import pytest
from msgspec.json import decode, encode
from msgspec.structs import fields
from openapi_spec_validator import OpenAPIV31SpecValidator

from hourpass.server.endpoints.admin_openapi import describe_admin
from hourpass.server.endpoints.app import VERIFY
from hourpass.server.endpoints.openapi import MEMBERS, answer_of
from hourpass.server.issuing.revoke_introspect import introspect
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.shapes import FORM, write_introspection

pytestmark = pytest.mark.anyio


@pytest.fixture
async def document(http):
    return (await http.get("/openapi.json")).json()


def references(node: object) -> set[str]:
    return set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(node)))


async def test_every_route_is_described_with_its_methods(document, server):
    described = {path: {method.upper() for method in item} for path, item in document["paths"].items()}
    served = {path: set(route.methods) - {"HEAD"} for path, route in server.app.routes.items()}

    assert described == {**served, VERIFY: {"GET"}}


def wrong(document) -> list[str]:
    """What OpenAPI 3.1's own meta-schema finds wrong, also in the schemas."""
    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]


@pytest.mark.parametrize("which", ["public", "admin"])
async def test_it_is_a_document_of_openapi(document, which):
    assert wrong(document if which == "public" else describe_admin()) == []


async def test_a_document_that_is_not_one_would_be_found():
    assert wrong({"openapi": "3.1.0", "info": {"version": "1"}, "paths": {}}) == ["'title' is a required property"]


async def test_it_is_made_once_however_often_strangers_ask_for_it(server):
    first, second = [await server.app.answer(Request("GET", "/openapi.json", b"", (), None)) for _ in range(2)]

    assert first.status == 200
    assert second.body is first.body


async def test_every_reference_leads_to_a_schema(document):
    found = references(document)

    assert len(found) >= 7
    for reference in found:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node["type"] == "object"


async def test_operation_ids_are_unique_and_every_operation_has_words(document):
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]

    assert len(ids) == len(set(ids))
    assert all(operation["summary"].endswith(".") for operation in operations)


async def test_every_schema_and_member_is_described_in_a_sentence(document):
    schemas = document["components"]["schemas"]
    said = {name: schema["description"] for name, schema in schemas.items()}
    members = {
        (name, member): each for name, schema in schemas.items() for member, each in schema["properties"].items()
    }
    said |= {place: each.get("description") for place, each in members.items()}

    assert {what: words for what, words in said.items() if not re.fullmatch(r"(?s)[A-Z`].*\.", words or "")} == {}
    assert {member for _, member in members} == set(MEMBERS)


async def test_bodies_are_described_as_they_travel(document):
    exchange = document["components"]["schemas"]["ExchangeRequest"]
    asked = document["paths"]["/auth/api-key"]["post"]["requestBody"]["content"]

    assert exchange["required"] == ["apiKey"]
    assert set(exchange["properties"]) == {"apiKey", "scope", "expiresIn", "audience"}
    assert list(asked) == ["application/json"]
    assert list(document["paths"]["/oauth/token"]["post"]["requestBody"]["content"]) == [
        "application/x-www-form-urlencoded"
    ]


async def test_an_introspection_has_the_members_that_are_described(document, server):
    api_key = await server.create_key(scope="introspect")
    pair = await server.exchange(api_key)
    caller, _ = await server.app.issuer.prove(api_key, None, server.clock())
    told = await introspect(server.app.issuer, pair.access_token.decode(), caller, server.clock())

    assert (
        json.loads(write_introspection(told)).keys()
        == document["components"]["schemas"]["Introspection"]["properties"].keys()
    )


async def test_every_handler_answers_the_shape_that_its_route_is_described_with(document, server):
    """A reply that a handler writes itself is what its shape would be written as, if the route has one."""
    pair = await server.exchange(api_key := await server.create_key(scope="introspect"))
    token, asked = pair.refresh_token.decode(), {"grant_type": "client_credentials", "client_secret": api_key}
    bodies = {
        "/auth/api-key": json.dumps({"apiKey": api_key}),
        "/auth/refresh": json.dumps({"refreshToken": token}),
        "/auth/rotate": json.dumps({"apiKey": await server.create_key(self_rotation=True)}),
        "/oauth/token": urlencode(asked),
        "/oauth/introspect": urlencode({"client_secret": api_key, "token": token}),
        "/oauth/revoke": urlencode({"token": token}),
    }
    for path, route in server.app.routes.items():
        for method, handler in route.methods.items():
            body = bodies.get(path, "").encode()
            headers = ((b"content-type", FORM.encode()),)
            request = Request(method, path, b"", headers, None, body, server.clock())
            told = await handler(server.app.issuer, request)
            answer = document["paths"][path]["get" if method == "HEAD" else method.lower()]["responses"]["200"]

            described = answer.get("content", {"application/json": {"schema": None}})["application/json"]["schema"]

            shape = answer_of(handler)
            assert described == (shape and {"$ref": f"#/components/schemas/{shape.__name__}"}), path
            if isinstance(told, Reply):
                assert shape is None or encode(decode(told.body, type=shape)) == told.body, path
            else:
                assert type(told) is shape, path


async def test_a_body_without_a_member_that_is_described_as_required_is_refused_for_that(document, server):
    basic = b"Basic " + b64encode((await server.create_key(scope="introspect")).encode() + b":")
    for path, route in server.app.routes.items():
        if route.asks is None:
            continue
        (media_type,) = document["paths"][path]["post"]["requestBody"]["content"]
        headers = ((b"content-type", media_type.encode()), (b"authorization", basic))
        write = urlencode if media_type == FORM else json.dumps
        for field in filter(lambda field: field.required, fields(route.asks)):
            others = {each.encode_name: "x" for each in fields(route.asks) if each.required and each.name != field.name}

            refused = await server.app.answer(Request("POST", path, b"", headers, None, write(others).encode()))

            assert refused.status == 400, path
            assert field.encode_name in refused.body.decode(), path


async def test_the_document_may_be_asked_for_by_its_tag(http):
    """RFC 9110 §13.1.2."""
    first = await http.get("/openapi.json")
    again = await http.get("/openapi.json", headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
