"""The FastAPI dependency: with the middleware or alone, and on the API's OpenAPI page."""

from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.middleware.cors import CORSMiddleware
from tests.verifier.conftest import PLAIN, keys

from hourpass.core.errors import ConfigurationError
from hourpass.verifier import Claims, Verifier
from hourpass.verifier.asgi import HourpassMiddleware
from hourpass.verifier.fastapi import require
from hourpass.verifier.guard import KeyIdentity


def api(*scopes: str, middleware: dict | None = None, **options) -> FastAPI:
    app = FastAPI()

    @app.get("/videos")
    async def videos(caller: Annotated[Claims, Depends(require(*scopes, **options))]) -> dict[str, str]:
        return {"owner": caller.sub}

    if middleware is not None:
        app.add_middleware(HourpassMiddleware, **middleware)
    return app


@pytest.fixture(params=["with the middleware", "alone"])
def build(request, shared_verifier):
    def build(*scopes: str) -> FastAPI:
        if request.param == "alone":
            return api(*scopes, verifier=shared_verifier)
        return api(*scopes, middleware={"verifier": shared_verifier})

    return build


async def ask(app: FastAPI, *authorization: str, path: str = "/videos") -> httpx2.Response:
    headers = [("authorization", value) for value in authorization]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api.test") as http:
        return await http.get(path, headers=headers)


@pytest.mark.anyio
async def test_a_good_token_is_injected_as_its_claims(build, shared_issuer):
    answer = await ask(build("videos.read"), f"Bearer {shared_issuer.token()}")

    assert (answer.status_code, answer.json()) == (200, {"owner": "alice"})


@pytest.mark.anyio
@pytest.mark.parametrize("scopes", [("videos.read", "videos.write"), ("videos.read videos.write",)])
async def test_all_scopes_are_needed_and_all_are_named(build, shared_issuer, scopes):
    answer = await ask(build(*scopes), f"Bearer {shared_issuer.token()}")

    assert answer.status_code == 403
    assert (
        answer.headers["www-authenticate"] == f'{PLAIN}, error="insufficient_scope", scope="videos.read videos.write"'
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("authorization", "status", "challenge"),
    [
        ([], 401, PLAIN),
        (["Bearer bad"], 401, f'{PLAIN}, error="invalid_token", error_description="malformed"'),
        (["Bearer a", "Bearer a"], 400, f'{PLAIN}, error="invalid_request"'),
    ],
    ids=["none", "bad", "two"],
)
async def test_refusals_carry_the_challenge(build, authorization, status, challenge):
    answer = await ask(build(), *authorization)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (status, challenge)


@pytest.mark.anyio
async def test_out_of_reach_is_503_with_retry_after(dead_verifier, shared_issuer):
    answer = await ask(api(verifier=dead_verifier), f"Bearer {shared_issuer.token()}")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.anyio
async def test_an_api_key_is_accepted_if_the_provider_says_so(shared_verifier):
    app = api("videos.read", verifier=shared_verifier, api_keys=keys)

    assert (await ask(app, "Basic Z29vZDo=")).json() == {"owner": "bob"}


@pytest.mark.anyio
async def test_on_a_public_path_the_dependency_still_needs_a_token(shared_verifier):
    app = api("videos.read", middleware={"verifier": shared_verifier, "public": ["/videos"]})

    assert (await ask(app)).status_code == 401


@pytest.mark.anyio
async def test_the_openapi_page_shows_the_scheme_and_the_scopes(build, shared_verifier):
    app = api("videos.read", middleware={"verifier": shared_verifier, "public": ["/openapi.json"]})

    page = (await ask(app, path="/openapi.json")).json()

    scheme = page["components"]["securitySchemes"]["hourpass"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    assert page["paths"]["/videos"]["get"]["security"] == [{"hourpass": ["videos.read"]}]


def test_a_text_that_is_not_a_scope_is_refused_when_the_route_is_declared():
    with pytest.raises(ConfigurationError):
        require('a"b')


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["%0A", "%0a", "%0D%0A"])
async def test_a_path_that_ends_in_a_newline_needs_the_scope_of_its_route(shared_verifier, shared_issuer, end):
    """Starlette's routes end in `$`, which matches before a final newline, too."""
    app = api(middleware={"verifier": shared_verifier, "scopes": {"/videos": "videos.write"}})

    answer = await ask(app, f"Bearer {shared_issuer.token()}", path=f"/videos{end}")

    assert answer.status_code == 403


# --- As FastAPI's users expect.


def test_requirements_that_need_the_same_are_equal(shared_verifier, dead_verifier):
    assert require("a", "b") == require("b a")
    assert hash(require("a", "b")) == hash(require("b a"))
    assert require("a") != require("b")
    assert require("a") != require("a", realm="other")
    assert require("a", verifier=shared_verifier) != require("a", verifier=dead_verifier)
    assert require("a") != "a"


@pytest.mark.anyio
async def test_a_test_may_override_what_a_route_requires():
    app = api("videos.read")
    app.dependency_overrides[require("videos.read")] = lambda: KeyIdentity("tester", "key")

    assert (await ask(app)).json() == {"owner": "tester"}


async def connect(app: FastAPI, *authorization: str) -> list[dict]:
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", value.encode()) for value in authorization]
    scope = {"type": "websocket", "path": "/live", "query_string": b"", "headers": headers, "subprotocols": []}
    await app(scope, receive, send)
    return sent


@pytest.mark.anyio
@pytest.mark.parametrize("middleware", [False, True])
async def test_a_websocket_may_require_a_scope(shared_verifier, dead_verifier, shared_issuer, middleware):
    def live(verifier) -> FastAPI:
        app = FastAPI()

        @app.websocket("/live")
        async def live(
            socket: WebSocket,
            caller: Annotated[Claims, Depends(require("videos.read", verifier=None if middleware else verifier))],
        ) -> None:
            await socket.accept()
            await socket.send_text(caller.sub)
            await socket.close()

        if middleware:
            app.add_middleware(HourpassMiddleware, verifier=verifier)
        return app

    good, poor = shared_issuer.token(), shared_issuer.token(scope="other")

    sent = await connect(live(shared_verifier), f"Bearer {good}")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"] == "alice"
    assert [each["code"] for each in await connect(live(shared_verifier), f"Bearer {poor}")] == [1008]
    assert [each["code"] for each in await connect(live(shared_verifier))] == [1008]
    unavailable = await connect(live(dead_verifier), f"Bearer {good}")
    assert [each["code"] for each in unavailable] == [1008 if middleware else 1013]


@pytest.mark.anyio
async def test_a_browser_can_read_a_refusal_if_cors_stands_before(shared_verifier):
    """Middleware that is added last comes first. Without CORS on a 401 a script learns only that something failed."""
    app = api(middleware={"verifier": shared_verifier})
    app.add_middleware(
        CORSMiddleware, allow_origins=["https://app.test"], allow_headers=["Authorization"],
        expose_headers=["WWW-Authenticate", "Retry-After"],
    )  # fmt: skip

    origin = {"Origin": "https://app.test"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test", headers=origin) as http:
        refused = await http.get("/videos")
        preflight = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        asked = await http.options("/videos", headers=preflight)

    assert (refused.status_code, asked.status_code) == (401, 200)
    for answer in (refused, asked):
        assert answer.headers["access-control-allow-origin"] == "https://app.test"
    assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
    assert refused.headers["www-authenticate"] == PLAIN


@pytest.mark.anyio
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with the middleware"])
async def test_a_raw_key_is_accepted_in_the_places_that_are_named(alone, serve):
    """`api_key_sources`: without a policy the server is asked."""
    server = serve()
    key = server.create_key("--scope", "videos.read", "--subject", "account-7")["api_key"]
    async with Verifier(issuer=server.url, audience=server.url) as verifier:
        options = {"verifier": verifier, "api_key_sources": ["bearer"]}
        app = api("videos.read", **options) if alone else api("videos.read", middleware=options)

        assert (await ask(app, f"Bearer {key}")).json() == {"owner": "account-7"}
        assert (await ask(app, f"Bearer {key[:-1]}!")).status_code == 401
        assert (await ask(api("videos.read", verifier=verifier), f"Bearer {key}")).status_code == 401


def test_places_for_keys_make_a_difference_between_two_dependencies(shared_verifier):
    options = {"verifier": shared_verifier}
    assert require("a", **options) != require("a", **options, api_key_sources=["bearer"])
