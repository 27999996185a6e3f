"""docs/reference/contract.md says what the server does: no route, word or error is missing, and none is made up."""

import ast
import inspect
import json
import re
import textwrap
from typing import get_args

import pytest

from hourpass.core.errors import RefusalReason, Refused, TokenProblem
from hourpass.server.endpoints.app import VERIFY
from hourpass.server.issuing import authentication
from hourpass.server.issuing.revoke_introspect import introspect
from hourpass.server.serve import create_app
from hourpass.server.settings.settings import Settings
from hourpass.server.transport import render
from hourpass.server.transport.request import Request
from hourpass.testing import InMemoryServer
from hourpass.wire.problems import TITLES
from hourpass.wire.shapes import write_introspection

PAGE = "docs/reference/contract.md"


def routes() -> dict[str, str]:
    app = create_app(Settings(data="unused", github_leaks="notify"), environ={})
    return {path: ", ".join(route.methods) for path, route in app.routes.items()} | {VERIFY: "any"}


def nodes_of(thing: object) -> list[ast.AST]:
    return list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(thing)))))


def titles() -> set[str]:
    """Every title that `render.problem` can give: the sentences in it."""
    texts = [node.value for node in nodes_of(render.problem) if isinstance(node, ast.Constant)]
    sentences = {text for text in texts if isinstance(text, str) and text.endswith(".")}
    return sentences - {render.problem.__doc__}


def early_titles() -> set[str]:
    """The titles that depend on the status alone, also before the application sees the request."""
    return set(TITLES.values())


def key_reasons() -> set[str]:
    """Every `InvalidCredentials(reason=…)` of the use cases."""
    calls = [
        node
        for node in nodes_of(authentication)
        if isinstance(node, ast.Call) and "InvalidCredentials" in ast.dump(node.func)
    ]
    values = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "reason"]
    texts = [
        branch.value
        for value in values
        for branch in (value, *vars(value).values())
        if isinstance(branch, ast.Constant)
    ]
    return {text for text in texts if isinstance(text, str)}


def test_every_route_is_in_the_table_with_its_methods(table, code):
    documented = {path: row[1] for row in table(PAGE, "Route") for path in code(row[0])}

    assert documented == {**routes(), "/metrics": "GET"}


@pytest.mark.parametrize("path", sorted(set(routes()) - {"/health/live", "/health/ready"}))
def test_every_route_is_explained_below_the_table(path, pages):
    assert pages[PAGE].count(path) >= 2


def test_every_title_of_an_error_is_in_the_table(table):
    assert len(titles()) >= 8
    assert len(early_titles()) >= 5
    assert {row[1] for row in table(PAGE, "Status")} == titles() | early_titles()


def test_the_reasons_of_a_refused_refresh_token_are_the_ones_explained(table, code):
    assert {word for row in table(PAGE, "`reason`") for word in code(row[0])} == set(get_args(RefusalReason))


def test_the_words_of_a_challenge_are_the_ones_explained(table, code):
    assert {word for row in table(PAGE, "`error_description`") for word in code(row[0])} == set(get_args(TokenProblem))


def test_the_reasons_of_a_refused_key_are_named(pages, code):
    assert key_reasons()
    assert key_reasons() <= set(code(pages[PAGE]))


def test_the_codes_of_oauth_errors_are_the_ones_explained(table, code):
    """RFC 6749 §5.2. What `render.oauth_error` hands on is a problem, not an OAuth 2 error."""
    cases = {node.cls.id for node in nodes_of(render.oauth_error) if isinstance(node, ast.MatchClass)}
    refusals = {kind.code for kind in Refused.__subclasses__() if kind.__name__ in cases}

    assert len(refusals) == len(cases) >= 6
    assert {word for row in table(PAGE, "`error`") for word in code(row[0])} == refusals


@pytest.mark.parametrize("words", sorted(render.OAUTH_WORDS.values()))
def test_the_fixed_words_of_oauth_errors_are_quoted(words, pages):
    assert f'"{words}"' in pages[PAGE]


@pytest.mark.anyio
async def test_the_identity_headers_are_the_ones_that_are_sent(table, code):
    async with InMemoryServer() as server:
        pair = await server.exchange(await server.create_key())
        headers = ((b"authorization", b"Bearer " + pair.access_token),)
        reply = await server.app.authorize(Request("GET", "/", b"", headers, None), "")

    sent = {name.decode() for name, _ in reply.headers}
    assert {name.lower() for row in table(PAGE, "Identity header") for name in code(row[0])} == sent


@pytest.mark.anyio
async def test_the_claims_and_the_introspection_example_are_the_real_ones(table, code, pages):
    async with InMemoryServer() as server:
        pair = await server.exchange(await server.create_key(scope="introspect"))
        key, _ = await server.app.issuer.prove(await server.create_key(scope="introspect"), None, server.clock())
        answer = await introspect(server.app.issuer, pair.access_token.decode(), key, server.clock())
        told = json.loads(write_introspection(answer))

    example = next(json.loads(text) for text in re.findall(r"```json\n(.*?)```", pages[PAGE], re.DOTALL))
    assert list(example) == list(told)
    assert {name for row in table(PAGE, "Claim") for name in code(row[0])} == told.keys() - {"active", "token_type"}


@pytest.mark.anyio
async def test_the_readiness_example_names_every_check(pages):
    async with InMemoryServer() as server:
        checks = await server.app.readiness(server.clock())

    assert json.dumps(checks, separators=(",", ":")) in pages[PAGE]


@pytest.mark.parametrize("name", ["body_limit", "header_limit", "request_timeout", "exchange_limit", "grants_per_key"])
def test_the_limits_are_the_defaults(name, table):
    value = next(row[1] for row in table(PAGE, "Limit") if row[2] == f"`{name}`")
    number = int(re.match(r"[\d,]+", value)[0].replace(",", "")) * (1024 if "KiB" in value else 1)

    assert number == getattr(Settings(), name)


def test_every_example_in_json_is_json(pages):
    examples = [text for page in pages.values() for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]

    assert examples
    for example in examples:
        json.loads(example)
