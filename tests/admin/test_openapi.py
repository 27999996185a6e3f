"""The description of the admin API is made from what it does, so it can neither lack nor invent anything."""

import json
import re
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.json import encode

from hourpass.admin import shapes
from hourpass.admin.member_words import MEMBERS, OF_SHAPE, words_of
from hourpass.admin.operations import OPERATIONS, ROOT
from hourpass.server.endpoints.admin_problem import AdminProblem, FieldProblem

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "admin-api.md"

pytestmark = pytest.mark.anyio


@pytest.fixture
async def owner(here):
    return await here.caller()


@pytest.fixture
async def document(owner):
    answer = await owner.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture
def dialect():
    """The meta-schema's validator. Its import takes seconds, which every test process would pay for."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator


def operations(document) -> dict[str, dict]:
    """The operations by their names, with what they only refer to."""
    components = document["components"]

    def resolved(kind: str, each: dict) -> dict:
        return components[kind][each["$ref"].rpartition("/")[2]] if "$ref" in each else each

    return {
        told["operationId"]: told
        | {"parameters": [resolved("parameters", each) for each in told["parameters"]]}
        | {"responses": {status: resolved("responses", each) for status, each in told["responses"].items()}}
        for item in document["paths"].values()
        for told in item.values()
    }


async def test_every_operation_is_described_with_its_scope_and_a_sentence(document):
    described = {
        (method.upper(), path, told["operationId"], *told["security"][0]["admin"])
        for path, item in document["paths"].items()
        for method, told in item.items()
    }

    assert document["openapi"] == "3.1.0"
    assert described == {
        (each.method, ROOT + each.path, each.name, *([each.scope] if each.scope else [])) for each in OPERATIONS
    }
    assert not [told for told in operations(document).values() if not told["summary"].endswith(".")]


async def test_every_schema_is_one_and_every_reference_leads_to_one(document, dialect):
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        dialect.check_schema(schema)
        assert schema.get("description"), name
    used = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert used == set(schemas)
    for told in operations(document).values():
        for parameter in told["parameters"]:
            dialect.check_schema(parameter["schema"])
            assert "null" not in json.dumps(parameter["schema"]), "no query can say null"


async def test_every_schema_member_and_parameter_is_described_in_a_sentence(document):
    said = {name: schema["description"] for name, schema in document["components"]["schemas"].items()}
    for name, schema in document["components"]["schemas"].items():
        said |= {(name, member): each.get("description") for member, each in schema.get("properties", {}).items()}
    for operation, told in operations(document).items():
        said |= {(operation, each["name"]): each.get("description") for each in told["parameters"]}

    assert {what: words for what, words in said.items() if not re.fullmatch(r"(?s)[A-Z].*\.", words or "")} == {}


def test_words_are_only_of_members_that_there_are():
    used = set()
    for shape in msgspec_shapes():
        for member in shape.__struct_fields__:
            special = [f"{each.__name__}.{member}" for each in shape.__mro__]
            used.add(next((each for each in special if each in OF_SHAPE), member))

    assert {*MEMBERS, *OF_SHAPE} - used == set()
    assert not [name for name in OF_SHAPE if OF_SHAPE[name] == MEMBERS.get(name.rpartition(".")[2])]


def test_the_reference_has_each_condition_and_each_member_of_a_key_in_the_same_words():
    for shape in (shapes.ListKeys, shapes.CreateKey):
        for member in {*shape.__struct_fields__} - {"limit", "cursor"}:
            assert f"\n| `{member}` | {words_of(shape, member)} |\n" in PAGE.read_text()
    assert {*shapes.CreateKey.__struct_fields__[-3:]} == {"environment", "subject", "external_id"}


def msgspec_shapes() -> list[type[Struct]]:
    kinds = [*vars(shapes).values(), AdminProblem, FieldProblem]
    return [each for each in kinds if isinstance(each, type) and issubclass(each, Struct)]


async def test_each_member_that_is_asked_stands_in_one_place(document):
    told = operations(document)
    for operation in OPERATIONS:
        found = told[operation.name]
        places = {(each["in"], each["name"]) for each in found["parameters"]}
        body = set()
        content = found.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            name = content["schema"]["$ref"].rsplit("/", 1)[1]
            body = set(document["components"]["schemas"][name]["properties"])
        asked = {name for place, name in places if place in {"path", "query"}} | body
        assert asked == set(operation.asks.__struct_fields__) - {"if_match"}, operation.name
        assert {name for place, name in places if place == "path"} == set(operation.in_path)
        assert (("header", "If-Match") in places) == ("if_match" in operation.asks.__struct_fields__)
        keyed = operation.method == "POST" and not operation.reads and not operation.streams
        assert (("header", "Idempotency-Key") in places) == keyed
        assert set(found["responses"]) == {str(operation.status), "401", "403", "default"}


async def test_real_answers_and_refusals_fit_their_schemas(document, dialect, owner):
    def fits(answer, operation: str) -> None:
        responses = operations(document)[operation]["responses"]
        told = responses.get(str(answer.status_code), responses["default"])
        [(media_type, content)] = told["content"].items()
        assert answer.headers["content-type"] == media_type
        assert set(told["headers"]) - {"WWW-Authenticate"} <= {name.title() for name in answer.headers} | {"ETag"}
        assert ("ETag" in told["headers"]) == ("etag" in answer.headers)
        schema = {**content["schema"], "components": document["components"]}
        dialect(schema).validate(answer.json())

    made = await owner.post("/keys", json={"name": "a", "claims": {"c": "x"}})
    path = f"/keys/{made.json()['key_id']}"
    fits(made, "create_key")
    fits(await owner.post("/keys/find", json={"api_key": made.json()["api_key"]}), "find_key")
    fits(await owner.get("/keys"), "list_keys")
    fits(await owner.get(path), "get_key")
    fits(await owner.patch(path, json={"tags": {"a": "b"}}), "update_key")
    fits(await owner.post(f"{path}/rotate", json={}), "rotate_key")
    fits(await owner.post(f"{path}/revoke"), "revoke_key")
    fits(await owner.get("/me"), "me")
    fits(await owner.get("/grants"), "list_grants")
    fits(await owner.get("/events"), "list_events")
    fits(await owner.get("/signing-keys"), "list_signing_keys")
    fits(await owner.get("/overview"), "overview")
    fits(await owner.get("/openapi.json"), "describe")
    webhook = await owner.post("/webhooks", json={"url": "https://93.184.215.14/"})
    fits(webhook, "create_webhook")
    rotated = await owner.post(f"/webhooks/{webhook.json()['webhook_id']}/rotate-secret")
    fits(rotated, "rotate_webhook_secret")
    fits(await owner.get("/keys?limit=0"), "list_keys")
    fits(await owner.get("/keys/nobody000000"), "list_grants")
    fits(await owner.server.admin.get("/admin/v1/me"), "me")


async def test_it_is_for_callers_with_any_role_and_not_for_strangers(here, document):
    auditor = await here.caller("auditor")
    acme = await here.caller("operator", subject_prefix="acme/", max_scope="a")

    for caller in (auditor, acme):
        assert (await caller.get("/openapi.json")).json() == document
    assert (await here.admin.get("/admin/v1/openapi.json")).status_code == 401
    await here.revoke_key(acme.api_key)
    assert (await acme.get("/openapi.json")).status_code == 401


async def test_it_is_no_larger_than_a_page(document):
    assert len(encode(document)) < 100_000
