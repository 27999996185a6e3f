"""An outage of the database that outlasts the retry window: a client that lost an answer in it loses no grant."""

import asyncio
import contextlib
import socket
import threading
import time

import httpx2
import pytest
from tests.e2e.conftest import PLAIN, generation

WINDOW = 8
MUTE = WINDOW + 4
GRANTS = 40


class MuteLine:
    """A line to the database, which swallows what that says from the first commit of an update on, once it is armed."""

    def __init__(self, database) -> None:
        self._to = f"{database.cluster.folder}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}/{database.name}?sslmode=disable"
        self.armed = self.mute = False
        self._ends: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                self._ends += [near, far]
                far.connect(self._to)
                threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, answers: bool) -> None:
        changed = False
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                changed = changed or (answers and b"UPDATE " in data)
                if answers and self.armed and changed and b"COMMIT" in data:
                    self.mute, self.armed = True, False
                changed = changed and b"COMMIT" not in data
                if not (answers and self.mute):
                    other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for each in (self._listener, *self._ends):
            each.close()


@pytest.fixture
def line(own_database):
    line = MuteLine(own_database)
    yield line
    line.close()


@pytest.mark.anyio
async def test_a_client_that_lost_an_answer_to_an_outage_longer_than_the_window_keeps_its_grant(nodes, line):
    node = nodes.start(database=line.url, retry_window=WINDOW)
    key = nodes.create_key()["api_key"]
    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=64), **PLAIN) as http:

        async def ask(path: str, **body: str) -> httpx2.Response:
            return await http.post(f"{node.url}{path}", json=body)

        answers = await asyncio.gather(*(ask("/auth/api-key", apiKey=key) for _ in range(GRANTS)))
        tokens = [answer.json()["refresh_token"] for answer in answers]
        line.armed = True
        lost = await asyncio.gather(*(ask("/auth/refresh", refreshToken=token) for token in tokens))
        assert {answer.status_code for answer in lost} <= {200, 503}
        assert line.mute
        began = time.monotonic()
        committed = sum(nodes.generations().values())
        await asyncio.sleep(MUTE - (time.monotonic() - began))
        line.mute = False
        again = await asyncio.gather(*(ask("/auth/refresh", refreshToken=token) for token in tokens))
        while any(answer.status_code == 503 for answer in again):
            await asyncio.sleep(0.2)
            again = await asyncio.gather(*(ask("/auth/refresh", refreshToken=token) for token in tokens))

    assert committed  # so answers were lost
    assert {answer.status_code for answer in again} == {200}
    assert {generation(answer.json()["refresh_token"]) for answer in again} == {1}
