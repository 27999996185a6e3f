"""Each answer belongs to its own request, however many are under way. `make proof` asks a million."""

import asyncio
import random

import pytest
from tests.hostile.conftest import Target
from tests.hostile.tagged import Questions, Tally, ask

COUNT = 20_000
SEED = 20_261_128


@pytest.fixture(scope="module", params=["TCP", "unix"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagged")
    unix_socket = folder / "socket" if request.param == "unix" else None
    flags = {"exchange-limit": 0} | ({"listen": f"unix:{unix_socket}"} if unix_socket else {})
    server = Target(folder / "data", folder / "server.log", flags, {})
    server.unix_socket = unix_socket
    server.start()
    yield server
    server.kill()


def test_pipelined_and_interleaved_requests_each_get_their_own_answer(server):
    choose = random.Random(SEED)
    questions = Questions(server, choose)

    def connect():
        if server.unix_socket is None:
            return asyncio.open_connection("127.0.0.1", server.port)
        return asyncio.open_unix_connection(server.unix_socket)

    tally = asyncio.run(ask(connect, questions, choose, COUNT))

    assert tally.wrong == []
    assert tally.answers - tally.trouble >= COUNT * 0.5


def test_another_requests_answer_would_show(server):
    questions = Questions(server, random.Random(SEED))
    first, second = questions(), questions()
    while not first.raw.startswith(b"GET /auth/verify?scope"):
        first = questions()
    answer = b'HTTP/1.1 403 Forbidden\r\nwww-authenticate: Bearer error="insufficient_scope", scope="tag-0"\r\n\r\n'
    tally = Tally()

    tally.judge(first, 403, answer)
    tally.judge(second, 403, answer)

    assert len(tally.wrong) == 2
