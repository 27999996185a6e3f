"""/openapi.json says what the server does: it is made from the route table, so nothing is missing or made up."""

import json
import re

import pytest

from hourpass.server.app import VERIFY
from hourpass.server.presented import introspect
from hourpass.server.request import Request

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
    caller = await server.app.issuer.authenticate(api_key, None, server.clock())
    told = await introspect(server.app.issuer, pair.access_token.decode(), caller, server.clock())

    assert told.keys() == document["components"]["schemas"]["Introspection"]["properties"].keys()


async def test_the_document_may_be_asked_for_by_its_tag(http):
    """RFC 9110 §13.1.2."""
    first = await http.get("/openapi.json")
    again = await http.get("/openapi.json", headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
