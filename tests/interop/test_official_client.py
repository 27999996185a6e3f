"""The source's official Python client, unmodified, newest and oldest, against the demo."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.conftest import HOURPASS, clean_environment

INSTALLED = Path(sys.prefix) / "interop"

CLIENT = textwrap.dedent(
    """
    import sys, time
    import apivideo
    from apivideo.api.videos_api import VideosApi

    url, api_key, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    client = apivideo.AuthenticatedApiClient(api_key, production=False)
    client.configuration.host = url
    client.__enter__()  # connects, and starts the client's own refresh loop
    videos = VideosApi(client)
    first = videos.list(current_page=1, page_size=5)
    assert len(first.data) == 5, first
    assert videos.get(first.data[0].video_id).title == first.data[0].title
    try:
        videos.get("vi-nobody")
        raise SystemExit("a missing video was found")
    except apivideo.exceptions.ApiException as error:
        assert error.status == 404, error
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        videos.list(current_page=1, page_size=1)
        time.sleep(0.5)
    print("ok", flush=True)
    import os
    os._exit(0)
    """
)


@pytest.fixture
def demo(tmp_path):
    """`hourpass demo` with tokens that live 12 s."""
    command = [HOURPASS, "demo", "--json", "--port", "0", "--data", tmp_path, "--access-token-lifetime", "12"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=clean_environment())
    yield json.loads(process.stdout.readline())
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()


def test_newest_and_oldest_list_videos_and_outlive_their_first_token(demo):
    """26 s are two lifetimes: both refresh by their own loop, and a 401 would end them."""
    clients = {
        version: subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CLIENT, demo["url"], demo["api_key"], "26"],
            env=clean_environment(PYTHONPATH=str(INSTALLED / f"apivideo-{version}")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for version in ("1.4.7", "old")
    }

    answers = {version: process.communicate(timeout=60) for version, process in clients.items()}

    assert {version: output for version, (output, _) in answers.items()} == {"1.4.7": "ok\n", "old": "ok\n"}, answers
