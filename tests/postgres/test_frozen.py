"""A node that stood still drops the requests that waited for it: its clients gave up and went on at another node."""

import asyncio
import signal
import time

import httpx2
import pytest
from tests.e2e.conftest import PLAIN, generation, verify
from tests.postgres.test_nodes import exchange

WINDOW = 12
FROZEN = WINDOW + 3
"""Seconds, longer than the window and than what a connection to the database may be idle in a transaction."""


def request(node, token: str) -> bytes:
    body = b'{"refreshToken":"%b"}' % token.encode()
    head = f"POST /auth/refresh HTTP/1.1\r\nhost: 127.0.0.1:{node.port}\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)


async def connect(node) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    return writer


async def refresh_all(http, node, tokens: list[str], count: int) -> list[str]:
    """Refresh each, and return the new ones. All must be of a generation. A 503 means to ask again."""

    async def refresh_one(token: str) -> str:
        answer = await http.post(f"{node.url}/auth/refresh", json={"refreshToken": token})
        while answer.status_code == 503:  # the frozen node may hold the row, for ten seconds
            await asyncio.sleep(0.5)
            answer = await http.post(f"{node.url}/auth/refresh", json={"refreshToken": token})
        assert answer.status_code == 200, answer.text
        assert generation(answer.json()["refresh_token"]) == count
        return answer.json()["refresh_token"]

    return await asyncio.gather(*map(refresh_one, tokens))


@pytest.mark.anyio
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("grants", "seconds"), [(150, FROZEN), pytest.param(1_000, 60, marks=pytest.mark.slow)])
async def test_no_grant_is_lost_to_a_node_that_froze_for_longer_than_the_retry_window(nodes, grants, seconds):
    """A third are under way when the node freezes, a third come on kept connections, a third on new ones."""
    frozen, other = nodes.start(retry_window=WINDOW), nodes.start(retry_window=WINDOW)
    key = nodes.create_key()["api_key"]
    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=32), **PLAIN) as http:

        async def opened() -> str:
            answer = await http.post(f"{frozen.url}/auth/api-key", json={"apiKey": key})
            return answer.raise_for_status().json()["refresh_token"]

        tokens = await asyncio.gather(*(opened() for _ in range(grants)))
        third = grants // 3
        writers = [await connect(frozen) for _ in range(2 * third)]
        for writer, token in zip(writers[:third], tokens[:third], strict=True):
            writer.write(request(frozen, token))
        await asyncio.sleep(0.005)
        frozen.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        for writer, token in zip(writers[third:], tokens[third : 2 * third], strict=True):
            writer.write(request(frozen, token))
        for token in tokens[2 * third :]:
            writers.append(await connect(frozen))
            writers[-1].write(request(frozen, token))
        await asyncio.sleep(0.5)
        for writer in writers:
            writer.close()
        newer = await refresh_all(http, other, tokens, 1)
        patient_reader, patient = await asyncio.open_connection("127.0.0.1", frozen.port)
        patient.write(request(frozen, newer[0]))
        await asyncio.sleep(stopped + seconds - time.monotonic())

        frozen.process.send_signal(signal.SIGCONT)
        told = await asyncio.wait_for(patient_reader.readuntil(b"\r\n\r\n"), 10)
        patient.close()
        await asyncio.sleep(2)
        for count, node in enumerate([frozen, other, frozen], start=2):
            newer = await refresh_all(http, node, newer, count)

    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in told
    assert list(nodes.generations().values()) == [4] * grants
    assert '"event":"grant.replayed"' not in nodes.command("audit", "--json").replace(" ", "")


@pytest.mark.parametrize("seconds", [4, 12])
def test_a_node_that_wakes_up_lets_no_token_through_that_was_revoked_meanwhile(nodes, seconds):
    """The shorter time is within the budget for stale revocations, and beyond what is a stall."""
    frozen, other = nodes.start(retry_window=WINDOW), nodes.start(retry_window=WINDOW)
    pair = exchange(frozen, nodes.create_key()["api_key"])
    assert verify(frozen, pair["access_token"]) == 204
    frozen.process.send_signal(signal.SIGSTOP)
    form = {"token": pair["refresh_token"]}
    assert httpx2.post(f"{other.url}/oauth/revoke", data=form, **PLAIN).status_code == 200
    time.sleep(seconds)

    frozen.process.send_signal(signal.SIGCONT)
    began, seen = time.monotonic(), []
    while time.monotonic() - began < 2:
        seen.append(verify(frozen, pair["access_token"]))

    assert set(seen) <= {401, 503}
    assert seen[-1] == 401
