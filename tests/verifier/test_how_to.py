"""docs/how-to/verify.md: its Python runs as it stands there, and its tables are complete."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from tests.conftest import clean_environment

from hourpass.core.errors import Unavailable
from hourpass.verifier import Status
from hourpass.verifier.guard import KeyIdentity

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "verify.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

DJANGO = "from django.conf import settings\nsettings.configure(**{})\nimport django\ndjango.setup()\n"


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

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], env=clean_environment(), capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


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
