"""A verifier is for one environment: every surface refuses a token or an API key of the other one."""

import httpx2
import pytest
from tests.verifier.conftest import AUDIENCE, keys, refuses

from hourpass.core.errors import ConfigurationError
from hourpass.verifier import Verifier
from hourpass.verifier.asgi import HourpassMiddleware
from hourpass.verifier.guard import KeyIdentity
from hourpass.verifier.wsgi import HourpassMiddleware as WsgiMiddleware

KEY = "Basic Z29vZDo="
"""`good`, as the user name of HTTP Basic."""


@pytest.fixture(scope="module")
def sandbox(shared_issuer):
    with Verifier(issuer=shared_issuer.url, audience=AUDIENCE, environment="sandbox") as verifier:
        yield verifier


def sandbox_keys(api_key: str) -> KeyIdentity | None:
    owner = keys(api_key)
    return owner and owner._replace(env="sandbox")


def test_a_verifier_is_for_production_unless_told_otherwise(shared_verifier, sandbox, shared_issuer):
    production, other = shared_issuer.token(), shared_issuer.token(env="sandbox")

    assert shared_verifier.verify(production).env == "production"
    assert refuses(shared_verifier, other, "environment")
    assert sandbox.verify(other).env == "sandbox"
    assert refuses(sandbox, production, "environment")


@pytest.mark.parametrize("environment", ["", "Production", "staging", None])
def test_there_are_two_environments(environment):
    with pytest.raises(ConfigurationError, match="production or sandbox"):
        Verifier(issuer="https://a.test", audience=AUDIENCE, environment=environment)


async def asgi(verifier, authorization, policy):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = HourpassMiddleware(application, verifier=verifier, api_keys=policy)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api.test") as http:
        answer = await http.get("/", headers={"authorization": authorization})
    return answer.status_code, answer.headers.get("www-authenticate", "")


async def wsgi(verifier, authorization, policy):
    said = []

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b""]

    app = WsgiMiddleware(application, verifier=verifier, api_keys=policy)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_AUTHORIZATION": authorization}
    app(environ, lambda status, headers: said.append((int(status[:3]), dict(headers).get("WWW-Authenticate", ""))))
    return said[0]


@pytest.mark.anyio
@pytest.mark.parametrize("surface", [asgi, wsgi])
@pytest.mark.parametrize("kind", ["token", "key"])
async def test_a_middleware_refuses_the_other_environment(surface, kind, shared_issuer, shared_verifier, sandbox):
    policies = {"production": keys, "sandbox": sandbox_keys}
    verifiers = {"production": shared_verifier, "sandbox": sandbox}

    for environment, policy in policies.items():
        credential = KEY if kind == "key" else f"Bearer {shared_issuer.token(env=environment)}"
        for wanted, verifier in verifiers.items():
            status, challenge = await surface(verifier, credential, policy)

            assert status == (200 if wanted == environment else 401)
            assert ('error_description="environment"' in challenge) == (wanted != environment)
