"""Tagged answers: many connections pipeline requests in pieces, and each answer must carry its own request's tag.

`python -m tests.hostile.tagged 1000000` is the long run of `make proof`.
"""

import asyncio
import base64
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx2
from tests.conftest import ServerProcess

CONNECTIONS, KEYS, SCOPES = 48, 12, 12
LONGEST_BURST = 24


class Question(NamedTuple):
    """A request, and whether a status and the bytes of an answer are its own."""

    raw: bytes
    is_own: Callable[[int, bytes], bool]


class Questions:
    """Makes requests whose answers tell them apart: by a scope that nobody else asks for, or by who is asked about.

    Some are answered at once and some go through the database, so that answers could overtake one another.
    """

    def __init__(self, server: ServerProcess, choose: random.Random) -> None:
        self._choose = choose
        scopes = " ".join(f"t{number}" for number in range(SCOPES))
        self._keys = [server.create_key("--scope", f"{scopes} introspect") for _ in range(KEYS)]
        self._tokens = []
        for key in self._keys:
            pair = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key["api_key"]}, trust_env=False).json()
            self._tokens.append(pair["access_token"])
        self._made = 0

    def __call__(self) -> Question:
        self._made += 1
        kinds = (self._missing_scope, self._raw_key, self._introspection, self._exchange)
        return self._choose.choices(kinds, (80, 10, 6, 4))[0](self._choose.randrange(KEYS))

    def _missing_scope(self, who: int) -> Question:
        wanted = f"tag-{self._made}"
        raw = (
            f"GET /auth/verify?scope={wanted} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._tokens[who]}\r\n\r\n"
        )
        tag = f'scope="{wanted}"'.encode()
        return Question(raw.encode(), lambda status, answer: status == 403 and tag in answer)

    def _raw_key(self, who: int) -> Question:
        basic = base64.b64encode(f"{self._keys[who]['api_key']}:".encode()).decode()
        raw = f"GET /auth/verify HTTP/1.1\r\nhost: x\r\nauthorization: Basic {basic}\r\n\r\n"
        tag = f"hourpass-subject: {self._keys[who]['key_id']}\r\n".encode()
        return Question(raw.encode(), lambda status, answer: status == 204 and tag in answer)

    def _introspection(self, who: int) -> Question:
        asking = base64.b64encode(f"{self._keys[-1]['key_id']}:{self._keys[-1]['api_key']}".encode()).decode()
        lines = (f"authorization: Basic {asking}", "content-type: application/x-www-form-urlencoded")
        raw = self._post("/oauth/introspect", f"token={quote(self._tokens[who])}", *lines)
        tag = f'"sub":"{self._keys[who]["key_id"]}"'.encode()
        return Question(raw, lambda status, answer: status == 200 and tag in answer)

    def _exchange(self, who: int) -> Question:
        scope, key = f"t{self._choose.randrange(SCOPES)}", self._keys[who]
        raw = self._post("/auth/api-key", json.dumps({"apiKey": key["api_key"], "scope": scope}))

        def is_own(status: int, answer: bytes) -> bool:
            if status != 200:
                return False
            payload = json.loads(answer.partition(b"\r\n\r\n")[2])["access_token"].split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
            return (claims["sub"], claims["scope"]) == (key["key_id"], scope)

        return Question(raw, is_own)

    def _post(self, path: str, body: str, *lines: str) -> bytes:
        """With a length or in chunks."""
        if self._choose.random() < 0.5:
            framing, content = f"content-length: {len(body)}", body
        else:
            cut = self._choose.randrange(1, len(body))
            pieces = (body[:cut], body[cut:], "")
            framing = "transfer-encoding: chunked"
            content = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces)
        return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *lines, framing, "", content]).encode()


class Tally:
    """How many answers came, how many of them were trouble, and the first few that were another's."""

    def __init__(self) -> None:
        self.answers = 0
        self.trouble = 0
        self.wrong: list[str] = []

    def judge(self, question: Question, status: int, answer: bytes) -> None:
        self.answers += 1
        if status == 503:
            self.trouble += 1  # a machine that is too busy: nobody's answer
        elif not question.is_own(status, answer) and len(self.wrong) < 10:
            self.wrong.append(f"{question.raw[:120]!r} was answered {answer[:300]!r}")


async def ask(connect: Callable, questions: Questions, choose: random.Random, count: int) -> Tally:
    """Ask `count` questions over many connections. `connect` opens one: a reader and a writer."""
    tally = Tally()
    asked = 0

    async def client() -> None:
        nonlocal asked
        reader, writer = await connect()
        while asked < count and not tally.wrong:
            burst = [questions() for _ in range(choose.randint(1, LONGEST_BURST))]
            asked += len(burst)
            sending = asyncio.ensure_future(send(writer, b"".join(question.raw for question in burst), choose))
            # Now and then a client leaves in the middle: what was meant for it must reach nobody.
            leaves_after = choose.randrange(len(burst)) if choose.random() < 0.01 else len(burst)
            for question in burst[:leaves_after]:
                tally.judge(question, *await read(reader))
            if leaves_after < len(burst):
                sending.cancel()
                asked -= len(burst) - leaves_after
                writer.transport.abort()
                reader, writer = await connect()
            else:
                await sending
        writer.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(CONNECTIONS):
            clients.create_task(client())
    return tally


async def send(writer: asyncio.StreamWriter, raw: bytes, choose: random.Random) -> None:
    """In pieces of any size."""
    while raw:
        size = choose.choice((1, 7, 60, 500, 1_400, 10_000, 100_000))
        piece, raw = raw[:size], raw[size:]
        writer.write(piece)
        await writer.drain()
        if raw:
            await asyncio.sleep(0)


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next answer on a connection: its status, and all its bytes."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    at = head.find(b"content-length: ")
    if at < 0:
        return status, head
    return status, head + await reader.readexactly(int(head[at + 16 : head.index(b"\r\n", at)]))


def main(count: int, seed: int) -> int:
    """Run it against a server of its own, and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        flags = {"exchange-limit": 0}
        server = ServerProcess(Path(folder) / "data", Path(folder) / "log", flags, {}).start()
        try:
            choose = random.Random(seed)
            questions = Questions(server, choose)
            begun = time.monotonic()
            tally = asyncio.run(
                ask(lambda: asyncio.open_connection("127.0.0.1", server.port), questions, choose, count)
            )
            took = time.monotonic() - begun
        finally:
            server.kill()
        if tally.trouble:
            print(server.log.read_text()[-2_000:])
    told = f"{tally.answers} answers in {took:.0f} s, {tally.trouble} of them 503"
    print(f"{told}, {len(tally.wrong)} went to the wrong request (seed {seed})")
    print(*tally.wrong, sep="\n", end="")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)))
