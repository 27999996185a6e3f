"""The FastAPI dependency: with the middleware or alone, and on the API's OpenAPI page."""

from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI
from tests.verifier.conftest import PLAIN, keys

from hourpass.core.errors import ConfigurationError
from hourpass.verifier import Claims
from hourpass.verifier.asgi import HourpassMiddleware
from hourpass.verifier.fastapi import require


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
async def test_an_api_key_counts_where_the_provider_says_so(shared_verifier):
    app = api("videos.read", verifier=shared_verifier, api_keys=keys)

    assert (await ask(app, "Basic Z29vZDo=")).json() == {"owner": "bob"}


@pytest.mark.anyio
async def test_on_a_public_path_the_dependency_still_wants_a_token(shared_verifier):
    app = api("videos.read", middleware={"verifier": shared_verifier, "public": ["/videos"]})

    assert (await ask(app)).status_code == 401


@pytest.mark.anyio
async def test_the_openapi_page_shows_the_scheme_and_the_scopes(build, shared_verifier):
    app = api("videos.read", middleware={"verifier": shared_verifier, "public": ["/openapi.json"]})

    page = (await ask(app, path="/openapi.json")).json()

    scheme = page["components"]["securitySchemes"]["hourpass"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    assert page["paths"]["/videos"]["get"]["security"] == [{"hourpass": ["videos.read"]}]


def test_what_is_no_scope_is_refused_when_the_route_is_declared():
    with pytest.raises(ConfigurationError):
        require('a"b')


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["%0A", "%0a", "%0D%0A"])
async def test_a_path_that_ends_in_a_newline_needs_the_scope_of_its_route(shared_verifier, shared_issuer, end):
    """Starlette's routes end in `$`, which matches before a final newline, too."""
    app = api(middleware={"verifier": shared_verifier, "scopes": {"/videos": "videos.write"}})

    answer = await ask(app, f"Bearer {shared_issuer.token()}", path=f"/videos{end}")

    assert answer.status_code == 403
