"""Spoils good and odd requests at random, for fuzzing."""

import random

from tests.hostile.odd_requests import corpus

WORDS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b":", b" ", b"\t", b"\x00", b",", b";", b"0\r\n\r\n",
    b"0\r\nx-trailer: y\r\n\r\n", b"host: x\r\n", b"content-length: 3\r\n", b"content-length: 9000\r\n",
    b"transfer-encoding: chunked\r\n", b"connection: close\r\n", b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"expect: 100-continue\r\n", b"POST /later HTTP/1.1\r\nhost: x\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n", b" HTTP/1.0\r\n", b"ffffffff\r\n",
    b"POST /stream HTTP/1.1\r\nhost: x\r\n", b"content-length: 90000\r\n", b"15f90\r\n" + b"a" * 90_000 + b"\r\n",
    b"2000\r\n" + b"a" * 0x2000 + b"\r\n", b"a" * 17_000, b"\xff", b"%00", b"3\r\nabc\r\n",
]  # fmt: skip

TRAILED = b"3\r\nabc\r\n2;a=b\r\nde\r\n0\r\nx-trailer: y\r\n\r\n"

GOOD = [
    b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
    b"POST /later HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + TRAILED,
    b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n" * 5,
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 5,
    b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 8192\r\n\r\n" + b"a" * 8_192,
    b"POST /stream HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 90000\r\n\r\n" + b"a" * 90_000,
    b"POST /stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + TRAILED,
    b"POST /stream?start HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\n\r\n" + b"a" * 90_000,
]


class Mutations:
    """Bytes to send, and the moves with which they are sent. The same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._choose = random.Random(seed)
        self._seeds = [*corpus().values(), *GOOD * 40]

    def __call__(self) -> tuple[bytes, bytes]:
        choose = self._choose
        raw = bytearray(b"".join(choose.choices(self._seeds, k=choose.choice((1, 1, 2, 3)))))
        for _ in range(choose.choice((0, 1, 1, 2, 4))):
            self._spoil(raw)
        return bytes(raw), choose.randbytes(choose.choice((0, 1, 3, 8)))

    def _spoil(self, raw: bytearray) -> None:
        choose = self._choose
        at = choose.randrange(len(raw) + 1)
        match choose.randrange(5):
            case 0:
                raw[at : at + 1] = choose.randbytes(1)
            case 1:
                del raw[at : at + choose.choice((1, 2, 20))]
            case 2:
                raw[at:at] = choose.choice(WORDS)
            case 3:
                raw[at : at + 2] = choose.choice(WORDS)
            case _:
                raw[at:at] = raw[at : at + choose.choice((1, 2, 20, 200))]
