"""The adapter for requests under niquests, unchanged, in a Python of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import clean_environment

INSTALLED = Path(sys.prefix) / "interop" / "niquests"
SCRIPT = Path(__file__).with_name("niquests_client.py")


@pytest.fixture(scope="module")
def saw(start_demo):
    demo = start_demo()
    result = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, demo.url, demo.api_key],
        env=clean_environment(PYTHONPATH=str(INSTALLED)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_it_sends_the_token(saw):
    assert saw["statuses"][0] == 200


def test_a_revoked_token_costs_one_refresh_and_no_failure(saw):
    first, now = saw["numbers"]

    assert saw["statuses"][1] == 200
    assert (now - first, saw["counts"]["refreshed"]) == (1, 1)


def test_other_answers_pass_through(saw):
    assert saw["posted"] == 405
