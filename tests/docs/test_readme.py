"""The README's three requests, sent as they stand there to what `make run` starts."""

import json
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


def figures(root, results: str) -> dict[str, str]:
    """What a file of results says: each row's value, and the rate in its note."""
    rows = json.loads((root / "bench" / "results" / results).read_text("utf-8"))["rows"]
    return {row["name"]: row for row in rows}


def test_the_rates_are_those_of_the_results(pages, root):
    rows = figures(root, "2026-11-27.json")
    told = dict(re.findall(r"^\| ([\w ]+) \| ([\d,]+) \|", pages["README.md"], re.MULTILINE))

    for name, row in (
        ("Exchange", "exchange: limit / exchange (uvicorn, 64 connections)"),
        ("Refresh", "refresh: limit / refresh (uvicorn, 64 connections)"),
        ("Cached verification", "forward auth, cached: trivial GET / verify (uvicorn, 64 connections)"),
    ):
        [rate] = re.findall(r", (\d+)/s", rows[row]["note"])
        assert told[name] == f"{round(int(rate), -2):,}"


@pytest.mark.parametrize("operation", ["exchange", "refresh"])
def test_the_ratios_are_those_of_the_results_with_few_and_with_many_connections(operation, pages, root):
    rows = figures(root, "peers-2026-11-27.json")
    [told] = re.findall(rf"^\| {operation.capitalize()} \| [\d,]+ \| (.+) \|$", pages["README.md"], re.MULTILINE)

    for said, peer in zip(
        re.findall(r"([\d.]+ to [\d.]+) times", told), ("simplejwt", "glewlwyd", "oidc-provider"), strict=True
    ):
        values = [rows[f"{operation}: {peer} / hourpass ({many} connections)"]["value"] for many in (16, 64)]
        assert said == " to ".join(f"{value:.{0 if values[0] > 9 else 1}f}" for value in values)


def test_the_changelog_begins_with_what_is_unreleased(pages):
    """Keep a Changelog 1.1.0."""
    assert re.findall(r"^## (.+)$", pages["CHANGELOG.md"], re.MULTILINE)[0] == "[Unreleased]"
