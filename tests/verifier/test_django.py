"""The Django middleware and the REST framework classes, configured by the project's settings."""

import django
import pytest
from django.conf import settings
from django.http import JsonResponse
from django.test import Client, override_settings
from django.urls import path
from tests.verifier.conftest import PLAIN, keys

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["hourpass.verifier.django.HourpassMiddleware"],
        ALLOWED_HOSTS=["*"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["hourpass.verifier.rest_framework.HourpassAuthentication"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
    )
    django.setup()

from rest_framework.response import Response
from rest_framework.views import APIView

from hourpass.core.errors import ConfigurationError
from hourpass.verifier.django import configured
from hourpass.verifier.rest_framework import scope


def videos(request):
    headers = {name: value for name, value in request.headers.items() if name.lower().startswith("hourpass")}
    return JsonResponse({"owner": request.hourpass and request.hourpass.sub, "headers": headers})


class Rest(APIView):
    permission_classes = (scope("videos.read"),)

    def get(self, request):
        return Response({"owner": request.auth.sub, "user": str(request.user)})


urlpatterns = [path("videos", videos), path("health", videos), path("rest", Rest.as_view())]

ONLY_REST: list[str] = []
WITH_MIDDLEWARE = ["hourpass.verifier.django.HourpassMiddleware"]
REST = pytest.mark.parametrize("middleware", [ONLY_REST, WITH_MIDDLEWARE], ids=["alone", "with the middleware"])


@pytest.fixture
def project(shared_verifier):
    """A client of a project with these settings."""

    def project(middleware: list[str] = WITH_MIDDLEWARE, **options) -> Client:
        changed.append(override_settings(MIDDLEWARE=middleware, HOURPASS={"verifier": shared_verifier, **options}))
        changed[-1].enable()
        configured.cache_clear()
        return Client(raise_request_exception=False)

    changed: list = []
    yield project
    for change in reversed(changed):
        change.disable()
    configured.cache_clear()


@pytest.fixture
def token(shared_issuer):
    return shared_issuer.token()


def bearer(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def test_a_good_token_reaches_the_view_with_its_claims_and_ours_alone(project, token):
    answer = project().get("/videos", **bearer(token), HTTP_HOURPASS_SUBJECT="eve", **{"HTTP_HOURPASS.GRANT": "eve"})

    assert answer.status_code == 200
    assert answer.json()["owner"] == "alice"
    assert "eve" not in answer.json()["headers"].values()
    assert answer.json()["headers"]["Hourpass-Subject"] == "alice"


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
    answer = project(middleware).get(where, **authorization)

    assert (answer.status_code, answer["www-authenticate"]) == (status, challenge)


@pytest.mark.parametrize(
    ("middleware", "where"), [(WITH_MIDDLEWARE, "/videos"), (ONLY_REST, "/rest")], ids=["middleware", "rest"]
)
def test_out_of_reach_is_503_with_retry_after(project, dead_verifier, token, middleware, where):
    answer = project(middleware, verifier=dead_verifier).get(where, **bearer(token))

    assert (answer.status_code, answer["retry-after"]) == (503, "1")


def test_public_paths_scopes_and_preflights_are_settings(project, token):
    client = project(public=["/health"], scopes={"/videos": "videos.write"}, preflights=True)

    assert client.get("/health", HTTP_HOURPASS_SUBJECT="eve").json() == {"owner": None, "headers": {}}
    assert client.get("/videos", **bearer(token)).status_code == 403
    assert client.options("/videos", HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET").status_code == 200


@pytest.mark.parametrize("policy", [keys, "tests.verifier.conftest.keys"], ids=["callable", "dotted name"])
def test_an_api_key_counts_where_the_provider_says_so(project, policy):
    client = project(api_keys=policy)

    assert client.get("/videos", HTTP_AUTHORIZATION="Basic Z29vZDo=").json()["owner"] == "bob"
    assert client.get("/rest", HTTP_AUTHORIZATION="Basic Z29vZDo=").json()["user"] == "bob"


@REST
def test_rest_framework_knows_the_caller(project, token, middleware):
    answer = project(middleware).get("/rest", **bearer(token))

    assert answer.json() == {"owner": "alice", "user": "alice"}


@REST
def test_rest_framework_refuses_a_token_without_the_scope(project, shared_issuer, middleware):
    answer = project(middleware).get("/rest", **bearer(shared_issuer.token(scope="other")))

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
