"""Fetching in the background: every answer is bounded in time and size, and none is followed anywhere else."""

import asyncio
import gzip
from typing import Self
from urllib.parse import urlsplit

import pytest

from hourpass.clocks import boot_clock
from hourpass.urls import ServerAddress
from hourpass.verifier.upkeep import NEVER, Answer, Keeper, Keepers, Question

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\nETag: x\r\n\r\n{}"


class Once:
    """A state machine that fetches one thing once."""

    failures, problem = 0, ""

    def __init__(self, url: str, timeout: int = 2_000, again: str = "") -> None:
        self.url = url
        self.request = Question(url, {"accept": "text/x"}, timeout, 1_000, again=again)
        self.due_at = 0
        self.answer: Answer | None = None

    def begin(self, now: int) -> Question:
        return self.request

    def finish(self, answer: Answer, now: int, wall: int) -> None:
        self.answer, self.due_at = answer, NEVER


class Endpoint:
    """Sends bytes, in parts with pauses, to any request."""

    def __init__(self, *parts: bytes, pause: float = 0) -> None:
        self.parts, self.pause = parts, pause
        self.asked: list[bytes] = []
        self.busy: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/x"
        return self

    async def __aexit__(self, *_) -> None:
        self.server.close()
        await asyncio.gather(*self.busy)

    async def _serve(self, reader, writer) -> None:
        self.busy.add(asyncio.current_task())
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            for part in self.parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(self.pause)
            writer.close()
            await writer.wait_closed()
        except OSError:
            pass


async def fetch(once: Once) -> Answer:
    keeper = Keeper(once, lambda: None)
    background = Keepers([keeper], boot_clock, boot_clock, ServerAddress(once.url))
    attempt = asyncio.wrap_future(keeper.attempt)
    task = asyncio.create_task(background.run())
    await asyncio.wait_for(attempt, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return once.answer


@pytest.mark.anyio
async def test_an_answer_is_told_whole_with_its_headers_in_lower_case():
    async with Endpoint(OK) as endpoint:
        answer = await fetch(Once(endpoint.url))

    assert (answer.status, answer.body) == (200, b"{}")
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ("x", "max-age=60")
    assert b"accept: text/x\r\n" in endpoint.asked[0].lower()


@pytest.mark.anyio
async def test_a_redirect_is_an_answer_and_not_followed():
    async with Endpoint(OK) as elsewhere:
        location = b"HTTP/1.1 302 Found\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % elsewhere.url.encode()
        async with Endpoint(location) as endpoint:
            answer = await fetch(Once(endpoint.url))

    assert answer.status == 302
    assert elsewhere.asked == []


BAD = {
    "too long": (b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + b"x" * 1_001,),
    "too long, of unknown length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 600, b"x" * 600),
    "encoded, a bomb": (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(bytes(20_000)),),
    "cut off": (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nxx",),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n",),
    "nothing": (),
    "a giant header": (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000 + b"\r\n\r\n",),
}


@pytest.mark.anyio
@pytest.mark.parametrize("parts", BAD.values(), ids=BAD.keys())
async def test_a_broken_answer_is_a_failure_and_says_why(parts):
    async with Endpoint(*parts) as endpoint:
        answer = await fetch(Once(endpoint.url))

    assert (answer.status, answer.body, bool(answer.detail)) == (0, b"", True)


@pytest.mark.anyio
async def test_an_answer_that_drips_is_given_up_when_its_time_is_over():
    """A limit for each read alone would let it go on for ever."""
    began = asyncio.get_running_loop().time()
    async with Endpoint(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 100, pause=0.05) as endpoint:
        answer = await fetch(Once(endpoint.url, timeout=300))

    assert (answer.status, answer.detail.partition(": ")[2]) == (0, "no answer in time")
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.anyio
async def test_an_answer_that_is_late_is_asked_for_once_more_beside_the_first():
    """The first connection may be one that a cut network has broken, and say nothing for half a minute."""
    async with Endpoint(OK) as endpoint, Endpoint(b"HTTP/1.1 200 OK\r\n\r\n", *[b""] * 100, pause=0.05) as silent:
        answer = await fetch(Once(silent.url, timeout=4_000, again=endpoint.url))

    assert (answer.status, answer.body) == (200, b"{}")
    assert (len(silent.asked), len(endpoint.asked)) == (1, 1)


@pytest.mark.anyio
async def test_an_endpoint_that_is_slow_is_still_heard_on_the_first_connection():
    async with Endpoint(b"", OK, pause=1.4) as slow, Endpoint(pause=0.1) as silent:
        silent.parts = [b""] * 30
        answer = await fetch(Once(slow.url, timeout=4_000, again=silent.url))

    assert (answer.status, answer.body) == (200, b"{}")


@pytest.mark.anyio
async def test_an_endpoint_that_nobody_listens_at_is_a_failure():
    async with Endpoint() as endpoint:
        url = endpoint.url

    assert (await fetch(Once(url))).detail == f"{urlsplit(url).netloc}: Connection refused"
