"""The ASGI middleware: the challenge table of contract.md, "Forward auth", identity, WebSockets, and what passes."""

import json

import httpx2
import litestar
import pytest
from litestar.config.cors import CORSConfig
from litestar.middleware import DefineMiddleware
from tests.verifier.conftest import PLAIN, keys

from hourpass.core.claims import Claims
from hourpass.core.errors import Unavailable
from hourpass.verifier.asgi import HourpassMiddleware
from hourpass.verifier.guard import KeyIdentity


class Application:
    """Remembers what reached it."""

    def __init__(self) -> None:
        self.seen: list[dict] = []

    async def __call__(self, scope, receive, send) -> None:
        self.seen.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"videos"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})

    def headers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.seen[-1]["headers"]:
            found.setdefault(name.decode(), []).append(value.decode())
        return found


@pytest.fixture
def application():
    return Application()


@pytest.fixture
def protect(application, shared_verifier):
    def protect(**options) -> HourpassMiddleware:
        return HourpassMiddleware(application, **{"verifier": shared_verifier, **options})

    return protect


@pytest.fixture
def token(shared_issuer):
    return shared_issuer.token()


async def ask(app, *authorization: str, path: str = "/videos", method: str = "GET", root: str = "", **headers: str):
    transport = httpx2.ASGITransport(app=app, root_path=root)
    pairs = [*headers.items(), *(("authorization", value) for value in authorization)]
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as http:
        return await http.request(method, path, headers=pairs)


@pytest.mark.anyio
async def test_a_good_token_reaches_the_application_with_its_claims(protect, application, token):
    answer = await ask(protect(), f"Bearer {token}")

    assert (answer.status_code, answer.content) == (200, b"videos")
    claims = application.seen[0]["hourpass"]
    assert isinstance(claims, Claims)
    assert (claims.sub, claims.scope) == ("alice", "videos.read")


@pytest.mark.anyio
async def test_the_identity_headers_are_ours_alone(protect, application, token):
    forged = {"Hourpass-Subject": "eve", "hourpass_subject": "eve", "HOURPASS.SUBJECT": "eve", "Hourpass-Admin": "1"}

    await ask(protect(), f"Bearer {token}", **forged)

    ours = {name: values for name, values in application.headers().items() if "hourpass" in name}
    assert ours == {
        "hourpass-subject": ["alice"],
        "hourpass-key-id": ["key"],
        "hourpass-scope": ["videos.read"],
        "hourpass-environment": ["production"],
        "hourpass-grant": ["grant"],
        "hourpass-auth": ["bearer"],
        "hourpass-api-key-sunset": [""],
        "hourpass-api-key-deprecation": [""],
    }


@pytest.mark.anyio
async def test_a_middleware_around_ours_sees_what_the_router_adds_to_the_scope(shared_verifier, token):
    """Metrics name a route by `scope["route"]`."""

    async def router(scope, receive, send):
        scope["route"] = "/videos/{id}"
        await Application()(scope, receive, send)

    async def metrics(scope, receive, send):
        await HourpassMiddleware(router, verifier=shared_verifier)(scope, receive, send)
        routes.append(scope["route"])

    routes: list[str] = []
    await ask(metrics, f"Bearer {token}")

    assert routes == ["/videos/{id}"]


@pytest.mark.anyio
@pytest.mark.parametrize("public", [[], ["/"]], ids=["judged", "public"])
async def test_headers_that_litestar_has_read_before_are_cleaned_all_the_same(shared_verifier, token, public):
    """Its CORS middleware stands before all others, and keeps what it has read in the scope."""

    @litestar.get("/")
    async def view(request: litestar.Request) -> dict[str, str]:
        return {name: value for name, value in request.headers.items() if name.startswith("hourpass")}

    app = litestar.Litestar(
        [view],
        cors_config=CORSConfig(allow_origins=["https://app.test"]),
        middleware=[DefineMiddleware(HourpassMiddleware, verifier=shared_verifier, public=public)],
        openapi_config=None,
        logging_config=None,
    )
    forged = {"Hourpass-Subject": "eve", "Hourpass-Admin": "eve", "Origin": "https://app.test"}

    answer = await ask(app, f"Bearer {token}", path="/", **forged)

    assert "eve" not in answer.text
    assert answer.json().get("hourpass-subject") == (None if public else "alice")
    assert answer.headers["access-control-allow-origin"] == "https://app.test"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers", [[], [""], ["Negotiate abc"], ["Basic YTpi"]], ids=["none", "empty", "other", "basic"]
)
async def test_without_an_acceptable_credential_the_challenge_has_no_error_code(protect, application, headers):
    """RFC 6750 §3."""
    answer = await ask(protect(), *headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, PLAIN)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["status"] == 401
    assert application.seen == []


@pytest.mark.anyio
async def test_a_head_request_is_refused_without_a_body(protect):
    answer = await ask(protect(), method="HEAD")

    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.anyio
async def test_keys_or_revocations_out_of_reach_are_503_and_never_401(application, protect, dead_verifier, token):
    answer = await ask(protect(verifier=dead_verifier), f"Bearer {token}")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "www-authenticate" not in answer.headers
    assert application.seen == []


@pytest.mark.anyio
async def test_a_scope_that_is_missing_is_403(protect, token):
    app = protect(scopes={"/videos": "videos.read", "POST /videos": "videos.write"})

    assert (await ask(app, f"Bearer {token}")).status_code == 200
    answer = await ask(app, f"Bearer {token}", method="POST")

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == f'{PLAIN}, error="insufficient_scope", scope="videos.write"'


@pytest.mark.anyio
async def test_an_unproven_token_learns_nothing_of_the_scopes(protect):
    answer = await ask(protect(scope="secret"), "Bearer x")

    assert answer.headers["www-authenticate"] == f'{PLAIN}, error="invalid_token", error_description="malformed"'


@pytest.mark.anyio
@pytest.mark.parametrize(
    "authorization", [[], ["Bearer nonsense"], ["Bearer a", "Bearer b"]], ids=["none", "bad", "two"]
)
async def test_a_public_path_passes_with_any_credential_and_without_an_identity(protect, application, authorization):
    answer = await ask(protect(public=["/health"]), *authorization, path="/health", hourpass_subject="eve")

    assert answer.status_code == 200
    assert application.seen[0]["hourpass"] is None
    assert not [name for name in application.headers() if "hourpass" in name]


@pytest.mark.anyio
async def test_a_path_is_public_below_the_root_that_the_api_is_mounted_at(protect, application):
    app = protect(public=["/health"])

    assert (await ask(app, path="/v1/health", root="/v1")).status_code == 200
    assert (await ask(app, path="/v1/videos", root="/v1")).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/api", "/api-docs"),
        ("/api", "/api/api-docs"),
        ("/", "/api-docs"),
        ("", "/api-docs"),
        ("/v1/api", "/v1/api/api-docs"),
    ],
)
async def test_a_root_path_is_taken_off_at_a_segment_only(protect, application, token, root, path):
    app = protect(public=["/api-docs"], scopes={"/videos": "videos.read", "/other": "other"})

    assert (await ask(app, path=path, root=root)).status_code == 200
    assert (await ask(app, f"Bearer {token}", path=path, root=root)).status_code == 200
    assert (await ask(app, f"Bearer {token}", path=path.replace("api-docs", "videos"), root=root)).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/public/api/admin", "/public/api", "/x/api/public/a"])
async def test_a_root_path_in_the_midst_of_a_path_makes_it_odd(protect, application, token, path):
    """Litestar takes off all that stands before it, too."""
    app = protect(public=["/public/*"], scopes={"/videos": "videos.read", "/other": "other"})

    assert (await ask(app, path=path, root="/api")).status_code == 401
    assert (await ask(app, f"Bearer {token}", path=path, root="/api")).status_code == 403
    assert application.seen == []


@pytest.mark.anyio
async def test_an_options_without_a_token_is_401_unless_preflights_pass(protect, application):
    preflight = {"origin": "https://app.test", "access-control-request-method": "GET"}

    assert (await ask(protect(), method="OPTIONS", **preflight)).status_code == 401
    assert (await ask(protect(preflights=True), method="OPTIONS")).status_code == 401
    assert (await ask(protect(preflights=True), method="OPTIONS", **preflight)).status_code == 200


# --- API keys.


async def keys_async(api_key: str) -> KeyIdentity | None:
    return keys(api_key)


async def keys_unavailable(api_key: str) -> KeyIdentity | None:
    raise Unavailable("the table of keys is gone")


@pytest.mark.anyio
@pytest.mark.parametrize("policy", [keys, keys_async])
async def test_an_api_key_is_accepted_if_the_provider_says_so(protect, application, policy):
    app = protect(api_keys=policy, scope="videos.read")

    assert (await ask(app, "Basic Z29vZDo=")).status_code == 200
    assert application.seen[0]["hourpass"] == KeyIdentity("bob", "k", "videos.read")
    assert application.headers()["hourpass-auth"] == ["api-key"]

    answer = await ask(app, "basic YmFkOg==")
    assert (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"]) == (401, True)


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["Basic !!!", "Basic", "Basic Z29vZA==", "Basic Z29vZDo= x"])
async def test_a_basic_credential_that_cannot_be_read_is_an_invalid_request(protect, value):
    """RFC 7617 §2."""
    assert (await ask(protect(api_keys=keys), value)).status_code == 400


@pytest.mark.anyio
async def test_keys_that_cannot_be_looked_up_are_503(protect):
    assert (await ask(protect(api_keys=keys_unavailable), "Basic Z29vZDo=")).status_code == 503


@pytest.mark.anyio
async def test_an_api_key_needs_the_scope_like_a_token(protect):
    assert (await ask(protect(api_keys=keys, scope="videos.write"), "Basic Z29vZDo=")).status_code == 403


# --- WebSockets and the lifespan.


async def connect(app, *authorization: str, extensions: dict | None = None) -> list[dict]:
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", value.encode()) for value in authorization]
    await app({"type": "websocket", "path": "/live", "headers": headers, "extensions": extensions}, receive, send)
    return sent


@pytest.mark.anyio
async def test_a_websocket_with_a_good_token_is_the_application_s(protect, application, token):
    assert await connect(protect(), f"Bearer {token}") == [{"type": "websocket.accept"}]
    assert application.seen[0]["hourpass"].sub == "alice"


@pytest.mark.anyio
async def test_a_websocket_is_refused_with_the_challenge_if_the_server_can(protect, application):
    start, body = await connect(protect(), extensions={"websocket.http.response": {}})

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"www-authenticate", PLAIN.encode()) in start["headers"]
    assert json.loads(body["body"])["status"] == 401
    assert application.seen == []


@pytest.mark.anyio
@pytest.mark.parametrize("extensions", [None, {}])
async def test_a_websocket_is_closed_before_it_opens_if_the_server_cannot(protect, application, extensions):
    assert await connect(protect(), "Bearer bad", extensions=extensions) == [{"type": "websocket.close", "code": 1008}]
    assert application.seen == []


@pytest.mark.anyio
async def test_the_lifespan_is_the_application_s(protect, application):
    await protect()({"type": "lifespan"}, None, None)

    assert [scope["type"] for scope in application.seen] == ["lifespan"]
