"""The Django middleware and the REST framework classes, configured by the project's settings, under WSGI and ASGI."""

import asyncio
import subprocess
import sys
from io import BytesIO

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from tests.conftest import clean_environment
from tests.verifier.conftest import PLAIN, keys
from tests.verifier.django_project import configure

if not settings.configured:
    configure()

from rest_framework.response import Response
from rest_framework.views import APIView

from hourpass.core.errors import ConfigurationError
from hourpass.verifier import Verifier
from hourpass.verifier.django import HourpassMiddleware, configured
from hourpass.verifier.guard import KeyIdentity
from hourpass.verifier.rest_framework import Caller, scope


def videos(request):
    headers = {name: value for name, value in request.headers.items() if name.lower().startswith("hourpass")}
    raw = [(name.decode(), value.decode()) for name, value in getattr(request, "scope", {}).get("headers", [])]
    raw = [pair for pair in raw if pair[0].startswith("hourpass")]
    return JsonResponse({"owner": request.hourpass and request.hourpass.sub, "headers": headers, "raw": raw})


class Rest(APIView):
    permission_classes = (scope("videos.read"),)

    def get(self, request):
        return Response({"owner": request.auth.sub, "user": str(request.user)})


urlpatterns = [path("videos", videos), path("health", videos), path("rest", Rest.as_view())]

ONLY_REST: list[str] = []
WITH_MIDDLEWARE = ["hourpass.verifier.django.HourpassMiddleware"]
REST = pytest.mark.parametrize("middleware", [ONLY_REST, WITH_MIDDLEWARE], ids=["alone", "with the middleware"])


class Visitor:
    """Asks the project over WSGI, or over ASGI, in which Django runs the middleware as a coroutine."""

    def __init__(self, asgi: bool) -> None:
        self._client = (AsyncClient if asgi else Client)(raise_request_exception=False)
        self._run = async_to_sync if asgi else lambda call: call

    def get(self, path: str, headers: dict[str, str] | None = None):
        return self._run(self._client.get)(path, headers=headers)

    def options(self, path: str, headers: dict[str, str] | None = None):
        return self._run(self._client.options)(path, headers=headers)


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def project(request, shared_verifier):
    """A visitor of a project with these settings."""

    def project(middleware: list[str] = WITH_MIDDLEWARE, **options) -> Visitor:
        changed.append(override_settings(MIDDLEWARE=middleware, HOURPASS={"verifier": shared_verifier, **options}))
        changed[-1].enable()
        configured.cache_clear()
        return Visitor(request.param)

    changed: list = []
    yield project
    for change in reversed(changed):
        change.disable()
    configured.cache_clear()


@pytest.fixture
def token(shared_issuer):
    return shared_issuer.token()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_good_token_reaches_the_view_with_its_claims_and_ours_alone(project, token):
    answer = project().get("/videos", {**bearer(token), "Hourpass-Subject": "eve", "Hourpass.Grant": "eve"})

    assert answer.status_code == 200
    assert answer.json()["owner"] == "alice"
    assert "eve" not in answer.json()["headers"].values()
    assert answer.json()["headers"]["Hourpass-Subject"] == "alice"


def reads_headers_first(get_response):
    """An earlier middleware that looks at the headers, as django-guid does."""
    if iscoroutinefunction(get_response):

        async def middleware(request):
            assert "Hourpass-Admin" in request.headers
            return await get_response(request)

        return markcoroutinefunction(middleware)

    def middleware(request):
        assert "Hourpass-Admin" in request.headers
        return get_response(request)

    return middleware


reads_headers_first.async_capable = reads_headers_first.sync_capable = True


@pytest.mark.parametrize(("public", "subject"), [([], "alice"), (["/videos"], None)], ids=["judged", "public"])
def test_headers_that_an_earlier_middleware_has_read_are_cleaned_all_the_same(project, token, public, subject):
    visitor = project([f"{__name__}.reads_headers_first", *WITH_MIDDLEWARE], public=public)

    answer = visitor.get("/videos", {**bearer(token), "Hourpass-Subject": "eve", "Hourpass-Admin": "eve"})

    assert "eve" not in answer.content.decode()
    assert answer.json()["headers"].get("Hourpass-Subject") == subject


@pytest.mark.parametrize(
    ("authorization", "status", "challenge"),
    [
        ({}, 401, PLAIN),
        (bearer("bad"), 401, f'{PLAIN}, error="invalid_token", error_description="malformed"'),
        (bearer("a,Bearer a"), 400, f'{PLAIN}, error="invalid_request"'),
    ],
    ids=["none", "bad", "two"],
)
@pytest.mark.parametrize(
    ("middleware", "where"), [(WITH_MIDDLEWARE, "/videos"), (ONLY_REST, "/rest")], ids=["middleware", "rest"]
)
def test_refusals_carry_the_challenge(project, middleware, where, authorization, status, challenge):
    answer = project(middleware).get(where, authorization)

    assert (answer.status_code, answer["www-authenticate"]) == (status, challenge)


@pytest.mark.parametrize(
    ("middleware", "where"), [(WITH_MIDDLEWARE, "/videos"), (ONLY_REST, "/rest")], ids=["middleware", "rest"]
)
def test_out_of_reach_is_503_with_retry_after(project, dead_verifier, token, middleware, where):
    answer = project(middleware, verifier=dead_verifier).get(where, bearer(token))

    assert (answer.status_code, answer["retry-after"]) == (503, "1")


def test_public_paths_scopes_and_preflights_are_settings(project, token):
    client = project(public=["/health"], scopes={"/videos": "videos.write"}, preflights=True)

    assert client.get("/health", {"Hourpass-Subject": "eve"}).json() == {"owner": None, "headers": {}, "raw": []}
    assert client.get("/videos", bearer(token)).status_code == 403
    assert client.options("/videos", {"Access-Control-Request-Method": "GET"}).status_code == 200


@pytest.mark.parametrize("policy", [keys, "tests.verifier.conftest.keys"], ids=["callable", "dotted name"])
def test_an_api_key_is_accepted_if_the_provider_says_so(project, policy):
    client = project(api_keys=policy)

    assert client.get("/videos", {"Authorization": "Basic Z29vZDo="}).json()["owner"] == "bob"
    assert client.get("/rest", {"Authorization": "Basic Z29vZDo="}).json()["user"] == "bob"


@pytest.mark.parametrize("project", [True], indirect=True, ids=["asgi"])
def test_under_asgi_a_policy_of_api_keys_may_be_a_coroutine(project):
    async def policy(api_key):
        return keys(api_key)

    answer = project(api_keys=policy).get("/videos", {"Authorization": "Basic Z29vZDo="})

    assert answer.json()["owner"] == "bob"


@REST
def test_rest_framework_knows_the_caller(project, token, middleware):
    answer = project(middleware).get("/rest", bearer(token))

    assert answer.json() == {"owner": "alice", "user": "alice"}


@REST
def test_rest_framework_refuses_a_token_without_the_scope(project, shared_issuer, middleware):
    answer = project(middleware).get("/rest", bearer(shared_issuer.token(scope="other")))

    assert answer.status_code == 403
    assert answer["www-authenticate"] == f'{PLAIN}, error="insufficient_scope", scope="videos.read"'


@pytest.mark.parametrize("setting", [{}, {"isuer": "https://auth.test"}], ids=["none", "misspelt"])
def test_a_setting_that_is_missing_or_unknown_is_refused(setting):
    configured.cache_clear()
    with override_settings(HOURPASS=setting), pytest.raises(ConfigurationError):
        configured()


def test_the_setting_makes_one_verifier_for_the_process():
    configured.cache_clear()
    with override_settings(HOURPASS={"issuer": "https://auth.test", "audience": "https://api.test"}):
        assert configured().verifier is configured().verifier
        assert repr(configured().verifier) == "Verifier(issuer='https://auth.test', audience='https://api.test')"
    configured.cache_clear()


def test_the_caller_is_what_frameworks_expect_of_a_user():
    alice = Caller(KeyIdentity("alice", "key", "videos.read"))

    assert (alice.pk, alice.id, alice.username, alice.get_username(), str(alice)) == ("alice",) * 5
    assert (alice.is_authenticated, alice.is_active) == (True, True)
    assert (alice.is_anonymous, alice.is_staff, alice.is_superuser) == (False, False, False)
    assert (alice.has_perm("a"), alice.has_perms(["a"]), alice.has_module_perms("a")) == (False, False, False)
    assert alice.get_all_permissions() == alice.get_group_permissions() == set()
    assert {alice, Caller(KeyIdentity("alice", "other"))} == {alice}
    assert alice != Caller(KeyIdentity("bob", "key"))


def test_the_schema_of_drf_spectacular_names_the_scheme_without_a_warning():
    script = (
        "from tests.verifier.django_project import configure; configure(spectacular=True)\n"
        "from django.core.management import call_command; call_command('spectacular')\n"
    )

    done = subprocess.run([sys.executable, "-c", script], env=clean_environment(), capture_output=True, text=True)

    assert (done.returncode, "authenticator" in done.stderr) == (0, False), done.stderr
    assert "security:\n      - hourpass: []" in done.stdout
    assert "scheme: bearer" in done.stdout


# --- Under ASGI.


@pytest.mark.anyio
async def test_before_a_coroutine_it_is_one_itself(shared_verifier):
    """Django's documentation on asynchronous middleware: else each request would take a thread."""

    async def view(request):
        return JsonResponse({})

    configured.cache_clear()
    with override_settings(HOURPASS={"verifier": shared_verifier}):
        assert (HourpassMiddleware.sync_capable, HourpassMiddleware.async_capable) == (True, True)
        assert iscoroutinefunction(HourpassMiddleware(view))
        assert not iscoroutinefunction(HourpassMiddleware(lambda request: JsonResponse({})))
    configured.cache_clear()


@pytest.mark.anyio
async def test_waiting_for_the_issuers_keys_does_not_hold_up_the_event_loop(issuer):
    issuer.delay, turns = 0.5, 0
    configured.cache_clear()
    with (
        Verifier(issuer=issuer.url, audience="https://api.test") as verifier,
        override_settings(MIDDLEWARE=WITH_MIDDLEWARE, HOURPASS={"verifier": verifier}),
    ):
        asking = asyncio.ensure_future(AsyncClient().get("/videos", headers=bearer(issuer.token())))
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
    configured.cache_clear()

    assert asking.result().status_code == 200
    assert turns > 20


@pytest.mark.anyio
async def test_two_authorization_headers_are_a_broken_request(shared_verifier, token):
    """RFC 6750 §3.1. Django joins them with a comma."""
    headers = [(b"authorization", f"Bearer {token}".encode())] * 2
    scope = {"type": "http", "method": "GET", "path": "/videos", "query_string": b"", "headers": headers}

    async def view(request):
        return JsonResponse({})

    configured.cache_clear()
    with override_settings(HOURPASS={"verifier": shared_verifier}):
        answer = await HourpassMiddleware(view)(ASGIRequest(scope, BytesIO()))
    configured.cache_clear()

    assert (answer.status_code, answer["www-authenticate"]) == (400, f'{PLAIN}, error="invalid_request"')


@pytest.fixture
def asking(serve):
    """A server, one of its keys, and a verifier that asks it about raw keys."""
    server = serve()
    key = server.create_key("--scope", "videos.read", "--subject", "account-7")["api_key"]
    with Verifier(issuer=server.url, audience=server.url) as verifier:
        yield verifier, key


@pytest.mark.parametrize("middleware", [ONLY_REST, WITH_MIDDLEWARE], ids=["alone", "with the middleware"])
def test_a_raw_key_is_accepted_in_the_places_that_the_settings_name(middleware, project, asking):
    """`api_key_sources`: without a policy the server is asked."""
    verifier, key = asking
    visitor = project(middleware, verifier=verifier, api_key_sources=["header:X-API-Key"])

    assert visitor.get("/rest", {"X-API-Key": key}).json() == {"owner": "account-7", "user": "account-7"}
    assert visitor.get("/rest", {"X-API-Key": key[:-1] + "!"}).status_code == 401
    assert visitor.get("/rest", {"Authorization": f"Bearer {key}"}).status_code == 401
    assert visitor.get("/rest", {"X-API-Key": f"{key},{key}"}).status_code == 400
