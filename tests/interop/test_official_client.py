"""The source's official Python client, unmodified, newest and oldest, against the demo.

Both run at once, each in a Python of its own, through two lifetimes of a token that lives 12 s.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import clean_environment

INSTALLED = Path(sys.prefix) / "interop"
SCRIPT = Path(__file__).with_name("official_client.py")
LIFETIME = 12


@pytest.fixture(scope="module")
def what_they_saw(start_demo):
    """The observations of each release, by version."""
    demo = start_demo(access_token_lifetime=LIFETIME)
    clients = {
        version: subprocess.Popen(
            [sys.executable, "-W", "ignore", SCRIPT, demo.url, demo.api_key, str(2 * LIFETIME + 2)],
            env=clean_environment(PYTHONPATH=str(INSTALLED / f"apivideo-{version}")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for version in ("1.4.7", "old")
    }
    answers = {version: process.communicate(timeout=90) for version, process in clients.items()}
    assert {version: trouble for version, (_, trouble) in answers.items()} == {"1.4.7": "", "old": ""}
    return {version: json.loads(output) for version, (output, _) in answers.items()}


@pytest.fixture(params=["1.4.7", "old"], ids=["newest", "oldest"])
def saw(request, what_they_saw):
    return what_they_saw[request.param]


def test_it_lists_every_video_page_by_page(saw):
    assert [len(page) for page in saw["pages"]] == [5, 5, 2]
    assert len({video_id for page in saw["pages"] for video_id in page}) == 12


def test_it_finds_videos_by_title(saw):
    assert saw["night"] == ["Night train"]


def test_it_reads_one_video_into_its_own_types(saw):
    one = saw["one"]

    assert one["video_id"] == saw["pages"][0][0]
    assert one["title"]
    assert one["public"] is True
    assert one["mp4"].startswith("https://vod.example.invalid/")
    assert saw["created_at"].startswith("2025-")


def test_a_missing_video_is_its_own_not_found_exception(saw):
    assert (saw["missing"]["class"], saw["missing"]["status"]) == ("NotFoundException", 404)
    assert saw["missing"]["title"] == "The requested resource was not found."


def test_a_page_out_of_range_is_its_api_exception(saw):
    assert (saw["out_of_range"]["class"], saw["out_of_range"]["status"]) == ("ApiException", 400)
    assert saw["out_of_range"]["name"] == "pageSize"


def test_a_wrong_key_is_a_400_that_ends_connecting(saw):
    """Not 401: that sends the old official PHP clients into endless recursion."""
    assert (saw["wrong_key"]["class"], saw["wrong_key"]["status"]) == ("ApiException", 400)
    assert saw["wrong_key"]["title"] == "The user credentials were incorrect."


def test_it_outlives_two_tokens_by_its_own_loop_and_never_sees_a_401(saw):
    """A 401 would have ended it: the client refreshes by the clock, never on a refusal."""
    assert saw["outlived"]["calls"] > 2 * LIFETIME
    assert saw["outlived"]["tokens"] > 2
