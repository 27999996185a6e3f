"""docs/how-to/verify.md: its Python runs as it stands there, and its tables are complete."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import httpx2
import pytest
from prometheus_client import REGISTRY
from tests.conftest import clean_environment
from tests.verifier.conftest import AUDIENCE

from hourpass.core.errors import Unavailable
from hourpass.verifier import Status, Verifier
from hourpass.verifier.guard import KeyIdentity

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "verify.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

DJANGO = "from django.conf import settings\nsettings.configure(**{})\nimport django\ndjango.setup()\n"

VERIFIER = (
    "from hourpass.verifier import Verifier\n"
    'verifier = Verifier(issuer="https://auth.example.com", audience="https://api.example.com")\n'
)

FRAMEWORKS = {
    "Starlette": "from starlette.applications import Starlette",
    "Litestar": "from litestar import Litestar",
    "Quart": "from quart import Quart",
    "Falcon": "import falcon.asgi",
    "Pyramid": "from pyramid.config import Configurator",
}
"""The samples that take the verifier of an earlier one, by words that are theirs alone."""


def block(words: str) -> str:
    (found,) = [block for block in BLOCKS if words in block]
    return found


def settings() -> dict[str, object]:
    """The page's settings for Django and its REST framework."""
    found: dict[str, object] = {}
    exec(block("MIDDLEWARE = ") + block("REST_FRAMEWORK = "), found)
    return {name: value for name, value in found.items() if name.isupper()}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_runs_as_it_stands(number):
    source = BLOCKS[number]
    if "rest_framework.views" in source:
        source = DJANGO.format(settings()) + source
    if "HourpassMiddleware(app, " in source:
        source = "app = print\n" + source
    if any(words in source for words in FRAMEWORKS.values()):
        source = VERIFIER + source
    # Pyramid loads parts of setuptools that say their days are numbered.
    strict = [] if FRAMEWORKS["Pyramid"] in source else ["-W", "error"]

    done = subprocess.run(
        [sys.executable, *strict, "-c", source], env=clean_environment(), capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


@pytest.fixture
def app_of(issuer):
    """The application of a sample, whose verifier is of the test's issuer."""
    verifiers: list[Verifier] = []

    def build(words: str) -> object:
        source = (VERIFIER if words in FRAMEWORKS.values() else "") + block(words)
        source = source.replace("https://auth.example.com", issuer.url).replace("https://api.example.com", AUDIENCE)
        found: dict[str, object] = {"__name__": __name__}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as for Pyramid above
            exec(source, found)
        verifiers.append(found["verifier"])
        return found["app"]

    yield build
    for verifier in verifiers:
        verifier.close()


async def get(app: object, path: str, token: str | None, root: str = "") -> httpx2.Response:
    """Asks an application of either kind, without a server in between."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if type(app).__module__.endswith(".wsgi"):
        with httpx2.Client(
            transport=httpx2.WSGITransport(app=app, script_name=root), base_url="http://api.test"
        ) as api:
            return api.get(path, headers=headers)
    transport = httpx2.ASGITransport(app=app, root_path=root)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as api:
        return await api.get(root + path, headers=headers)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("framework", "root"),
    # Falcon routes by the whole path, and the page says so.
    [*((name, "") for name in FRAMEWORKS), *((name, "/root") for name in FRAMEWORKS if name != "Falcon")],
)
async def test_the_sample_for_a_framework_protects_its_route(app_of, issuer, framework, root):
    app = app_of(FRAMEWORKS[framework])

    answers = [
        await get(app, "/videos", token, root) for token in (None, issuer.token(scope="other", jti="2"), issuer.token())
    ]

    assert [answer.status_code for answer in answers] == [401, 403, 200]
    assert answers[-1].json() == {"owner": "alice"}


@pytest.mark.anyio
async def test_the_sample_for_metrics_counts_refusals_and_knows_the_route(app_of, issuer):
    app = app_of("class Metrics")

    for token in (None, issuer.token(), issuer.token()):
        await get(app, "/videos/7", token)

    seen = {route: REGISTRY.get_sample_value("api_answers_total", {"route": route, "status": status})
            for route, status in (("none", "401"), ("/videos/{number}", "200"))}  # fmt: skip
    assert seen == {"none": 1, "/videos/{number}": 2}


@pytest.mark.parametrize("name", ["test_alice_sees_her_videos", "test_alice_needs_the_scope"])
def test_the_page_s_tests_of_an_api_pass(name):
    found: dict[str, object] = {"__name__": "page"}
    with warnings.catch_warnings():
        # FastAPI's client for tests has opinions of its own on which version of its library is used.
        warnings.simplefilter("ignore")
        exec(block(f"def {name}"), found)
        found[name]()


def test_the_settings_for_django_are_ones_that_it_takes():
    check = (
        "from hourpass.verifier.django import HourpassMiddleware, configured\n"
        "HourpassMiddleware(print)\n"
        "assert configured().guard.needed('GET', '/videos/7') == 'videos.read'\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", DJANGO.format(settings()) + check], env=clean_environment(), capture_output=True
    )

    assert done.returncode == 0, done.stderr


def test_every_member_of_the_status_is_in_the_table():
    table = PAGE.partition("| Member |")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])]

    assert sorted(named) == sorted(Status._fields)


@pytest.fixture
def policy():
    """The page's policy of API keys, before an issuer of the test's choice."""

    def ask(url: str, api_key: str) -> KeyIdentity | None:
        found: dict[str, object] = {}
        exec(block("def api_keys").replace("https://auth.example.com", url), found)
        with found["hourpass"]:
            return found["api_keys"](api_key)

    return ask


def test_the_policy_of_api_keys_answers_whose_key_it_is(policy, serve):
    server = serve()
    made = server.create_key("--scope", "videos.read", "--subject", "account-17")

    owner = policy(server.url, made["api_key"])

    assert owner == KeyIdentity("account-17", made["key_id"], "videos.read", "production")
    assert policy(server.url, "hp_production_nobody_x") is None
    assert policy(serve(api_key_sources="").url, made["api_key"]) is None


def test_the_policy_of_api_keys_blames_no_key_for_trouble(policy, issuer):
    """The test's issuer answers 503 to what it does not know."""
    issuer.feed_down = True

    with pytest.raises(Unavailable):
        policy(issuer.url, "hp_production_anybody_x")
