"""Runs in a Python of its own, with one release of the source's official client on its path.

`official_client.py URL API_KEY SECONDS` goes through everything the demo offers with the client as it is, then goes on
listing videos for some seconds while the client's own loop refreshes, and prints what it saw as JSON.
"""

import json
import sys
import time

import apivideo
from apivideo.api.videos_api import VideosApi
from apivideo.exceptions import ApiException


def connected(url, api_key):
    client = apivideo.AuthenticatedApiClient(api_key)
    client.configuration.host = url
    return client


def failure(call):
    try:
        call()
    except ApiException as error:
        return {"class": type(error).__name__, "status": error.status, **json.loads(error.body)}
    return None


def every_page(videos):
    seen, page, pages = [], 1, 1
    while page <= pages:
        answer = videos.list(current_page=page, page_size=5)
        seen.append([video.video_id for video in answer.data])
        page, pages = page + 1, answer.pagination.pages_total
    return seen


def outlive(client, videos, seconds):
    """How many lists were answered, by how many access tokens."""
    tokens, calls, end = set(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        videos.list(page_size=1)
        calls += 1
        tokens.add(client._access_token)
        time.sleep(0.25)
    return {"calls": calls, "tokens": len(tokens)}


def main(url, api_key, seconds):
    wrong_key = failure(connected(url, api_key[:-1] + ("0" if api_key[-1] != "0" else "1")).connect)
    with connected(url, api_key) as client:  # connects, and starts the client's own refresh loop
        videos = VideosApi(client)
        pages = every_page(videos)
        one = videos.get(pages[0][0])
        print(
            json.dumps(
                {
                    "pages": pages,
                    "night": [video.title for video in videos.list(title="night").data],
                    "one": {"video_id": one.video_id, "title": one.title, "mp4": one.assets.mp4, "public": one.public},
                    "created_at": one.created_at.isoformat(),
                    "missing": failure(lambda: videos.get("vi-nobody")),
                    "out_of_range": failure(lambda: videos.list(page_size=101)),
                    "wrong_key": wrong_key,
                    "outlived": outlive(client, videos, float(seconds)),
                }
            )
        )


main(*sys.argv[1:])
