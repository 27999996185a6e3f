"""The README's three requests, sent as they stand there to what `make run` starts."""

import re
import shlex

import httpx2
import pytest

from hourpass.cli.demo.api import DemoApi
from hourpass.testing import InMemoryServer


def requests_in(text: str) -> list[tuple[str, list[str]]]:
    """`curl URL -d BODY` and `curl URL -H HEADER`: the URL and what follows it."""
    return [
        (words[1], words[2:]) for line in re.findall(r"^curl .*$", text, re.MULTILINE) if (words := shlex.split(line))
    ]


async def send(client: httpx2.AsyncClient, request: tuple[str, list[str]], credential: str) -> httpx2.Response:
    url, (flag, value) = request
    value = re.sub(r"(hp_production_|eyJ0eXAiO)…", lambda _: credential, value)
    if flag == "-d":
        return await client.post(url, content=value, headers={"content-type": "application/x-www-form-urlencoded"})
    name, _, content = value.partition(": ")
    return await client.get(url, headers={name: content})


@pytest.mark.anyio
async def test_the_three_requests_work_and_the_third_one_sent_twice_is_a_retry(pages):
    exchange, call, refresh = requests_in(pages["README.md"])
    async with InMemoryServer(issuer="http://127.0.0.1:3600") as server:
        transport = httpx2.ASGITransport(app=DemoApi(server.app))
        async with httpx2.AsyncClient(transport=transport) as client:
            pair = (await send(client, exchange, await server.create_key(scope="videos.read"))).json()
            videos = await send(client, call, pair["access_token"])
            first = await send(client, refresh, pair["refresh_token"])
            second = await send(client, refresh, pair["refresh_token"])

    assert videos.status_code == 200
    assert videos.json()["data"]
    assert first.json()["refresh_token"] != pair["refresh_token"]
    assert second.json()["refresh_token"] == first.json()["refresh_token"]
    assert second.json()["access_token"] != first.json()["access_token"]


def test_the_readme_has_a_place_for_measured_figures_and_a_status(pages):
    readme = pages["README.md"]

    assert re.search(r"<!-- bench -->\n.*make bench.*<!-- /bench -->", readme, re.DOTALL)
    assert "*Status:" in readme


def test_the_changelog_begins_with_what_is_unreleased(pages):
    """Keep a Changelog 1.1.0."""
    assert re.findall(r"^## (.+)$", pages["CHANGELOG.md"], re.MULTILINE)[0] == "[Unreleased]"
