"""Nodes whose machines disagree about the time share one clock, the database's: no honest grant is lost by it."""

import asyncio
import re
import sys
from pathlib import Path

import httpx2
import pytest
from tests.conftest import free_port
from tests.debian import needed
from tests.e2e.conftest import PLAIN, generation, refresh, verify
from tests.postgres.test_nodes import exchange

SKEWED = Path(__file__).with_name("skewed.py")
GRANTS = 20


def by_argument(skew: float) -> dict:
    return {"program": {"command": [sys.executable, SKEWED, str(skew)], "awaited": "/health/live"}}


def faketime() -> str | None:
    """The path of the library in Debian's package."""
    return next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


def by_libfaketime(skew: float) -> dict:
    """The system's own calls are wrong, but for what measures intervals."""
    environment = {
        "LD_PRELOAD": needed("libfaketime", faketime),
        "FAKETIME": f"{skew:+}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return {"program": {"awaited": "/health/live"}, "environment": environment}


def checks(node) -> dict[str, str]:
    return httpx2.get(f"{node.url}/health/ready", **PLAIN).json()["checks"]


@pytest.fixture(params=[by_argument, by_libfaketime], ids=["argument", "libfaketime"])
def way(request):
    """How a node's clock is made wrong."""
    return request.param


@pytest.mark.anyio
@pytest.mark.parametrize("skew", [-30, 30])
async def test_half_a_minute_between_nodes_loses_no_grant_and_no_token(nodes, way, skew):
    """The wrong one makes the first signing key. Each answer is lost, and asked for at the other node."""
    wrong = nodes.start(**way(skew), retry_window=20)
    right = nodes.start(retry_window=20)
    key = nodes.create_key()["api_key"]

    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=32), **PLAIN) as http:

        async def live(first, second) -> None:
            pair = (await http.post(f"{first.url}/auth/api-key", json={"apiKey": key})).raise_for_status().json()
            for count, (one, other) in enumerate([(first, second), (second, first)], start=1):
                asked = {"refreshToken": pair["refresh_token"]}
                assert (await http.post(f"{one.url}/auth/refresh", json=asked)).status_code == 200
                again = await http.post(f"{other.url}/auth/refresh", json=asked)
                assert again.status_code == 200, again.text
                pair = again.json()
                assert generation(pair["refresh_token"]) == count
                bearer = {"authorization": f"Bearer {pair['access_token']}"}
                for node in (first, second):
                    assert (await http.get(f"{node.url}/auth/verify", headers=bearer)).status_code == 204

        both = [(wrong, right), (right, wrong)] * (GRANTS // 2)
        await asyncio.gather(*(live(*each) for each in both))

    assert nodes.generations()
    assert set(nodes.generations().values()) == {2}


@pytest.mark.parametrize("skew", [-300, -30, 30, 70, 4_000])
def test_a_node_whose_clock_is_wrong_says_so_and_is_not_ready_but_serves(nodes, skew):
    port = free_port()
    wrong = nodes.start(**by_argument(skew), admin_listen=f"127.0.0.1:{port}")

    found = checks(wrong)
    metrics = httpx2.get(f"http://127.0.0.1:{port}/metrics", **PLAIN).text
    offset = re.search(r"^hourpass_clock_offset_seconds (\S+)$", metrics, re.MULTILINE)[1]
    pair = exchange(wrong, nodes.create_key()["api_key"])

    side = "ahead of" if skew > 0 else "behind"
    assert re.fullmatch(rf"\d+\.\d s {side} the database's", found.pop("clock"))
    assert set(found.values()) == {"ok"}
    assert float(offset) == pytest.approx(skew, abs=1)
    assert f"the clock of this machine is {abs(skew)}.0 s {side}" in wrong.log.read_text()
    assert verify(wrong, pair["access_token"]) == 204
    assert refresh(wrong, pair["refresh_token"]).status_code == 200


def test_a_node_that_is_off_by_seconds_is_ready_with_a_warning(nodes):
    node = nodes.start(**by_argument(-4))

    assert set(checks(node).values()) == {"ok"}
    assert "the clock of this machine is 4.0 s behind the database's" in node.log.read_text()
    assert exchange(node, nodes.create_key()["api_key"])
